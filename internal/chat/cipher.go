package chat

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// TextCipher encrypts texts as TeamTalk's clients do, and decrypts theirs. The text is padded with
// zeros to whole blocks, of which the last four bytes hold its length, big-endian; each block is
// encrypted by itself with AES-256; all is encoded in base64. The rules never decrypt a message: it
// is stored and answered as it came. The cipher is for the label of voice messages, and for
// programs that show texts to people. It is safe for concurrent use.
type TextCipher struct{ block cipher.Block }

// lengthBytes is how many bytes at the end of the last block hold the length of the text.
const lengthBytes = 4

// NewTextCipher makes the cipher of a key, which has exactly 32 bytes.
func NewTextCipher(key string) (TextCipher, error) {
	if len(key) != 32 {
		return TextCipher{}, fmt.Errorf("aesKey has %d bytes, it must have exactly 32", len(key))
	}
	block, err := aes.NewCipher([]byte(key))
	return TextCipher{block}, err
}

// Encrypt returns a text as clients read it, which takes more than a third more bytes.
func (c TextCipher) Encrypt(text string) string {
	padded := make([]byte, (len(text)+lengthBytes+aes.BlockSize-1)/aes.BlockSize*aes.BlockSize)
	copy(padded, text)
	binary.BigEndian.PutUint32(padded[len(padded)-lengthBytes:], uint32(len(text)))
	for b := padded; len(b) > 0; b = b[aes.BlockSize:] {
		c.block.Encrypt(b, b)
	}
	return base64.StdEncoding.EncodeToString(padded)
}

// Readable returns the text that a client encrypted, and any other as it is: one that is not
// encrypted, or with another key.
func (c TextCipher) Readable(text string) string {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) == 0 || len(b)%aes.BlockSize != 0 {
		return text
	}
	for block := b; len(block) > 0; block = block[aes.BlockSize:] {
		c.block.Decrypt(block, block)
	}
	n := binary.BigEndian.Uint32(b[len(b)-lengthBytes:])
	if uint64(n) > uint64(len(b)-lengthBytes) || !utf8.Valid(b[:n]) {
		return text
	}
	return string(b[:n])
}

// voiceLabel is the text that stands for a voice message in lists, encrypted as clients expect it.
func voiceLabel(key string) (string, error) {
	c, err := NewTextCipher(key)
	if err != nil {
		return "", err
	}
	return c.Encrypt("[语音]"), nil
}
