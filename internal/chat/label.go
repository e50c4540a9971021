package chat

import (
	"crypto/aes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
)

// voiceLabel is what stands for the sound of a voice message in lists: the text [语音], encrypted as the suite's
// clients expect it: AES-256 in ECB mode, padded with zeros to whole blocks whose last four bytes hold the length.
func voiceLabel(key string) (string, error) {
	if len(key) != 32 {
		return "", fmt.Errorf("aesKey has %d bytes, it must have exactly 32", len(key))
	}
	cipher, err := aes.NewCipher([]byte(key))
	if err != nil {
		return "", err
	}
	const text = "[语音]"
	out := make([]byte, (len(text)+4+aes.BlockSize-1)/aes.BlockSize*aes.BlockSize)
	copy(out, text)
	binary.BigEndian.PutUint32(out[len(out)-4:], uint32(len(text)))
	for b := out; len(b) > 0; b = b[aes.BlockSize:] {
		cipher.Encrypt(b, b)
	}
	return base64.StdEncoding.EncodeToString(out), nil
}
