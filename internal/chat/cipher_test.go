package chat_test

import (
	"strings"
	"testing"
	"testing/quick"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

func textCipher(t *testing.T, key string) chat.TextCipher {
	t.Helper()
	c, err := chat.NewTextCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// encrypted are texts as TeamTalk's clients encrypt them with the key of the suite's own
// configuration files, padded by hand and encrypted by openssl enc -aes-256-ecb -nopad -base64 -A.
var encrypted = map[string]string{
	"":            "e5RnnlJkv4QGnGhkMwfvgA==",
	"a":           "8+lyaGSNdKxdsEEADyYxvw==",
	"hello world": "dXZPup8AZvltXQb9TnIEWw==",
	// 12 bytes and the length fill a block
	"hello world!":                 "B4ARdOHy4UktX4x32eJ3vQ==",
	"hello, world!":                "4iLDaJ7bPfKR+pkn8Lv/vgr+GZ43+2mMfQMFqTsGBjY=",
	"123456789012345":              "9diCvN4bOl5BzVTriuOM3FzIdZRUsFN9eOwYZegap80=",
	"1234567890123456":             "zyFIAqnq8fihaJFqgH9gVAfU6OB7fpsvZh6GP3dYB9g=",
	"12345678901234567":            "zyFIAqnq8fihaJFqgH9gVISXKc/8EWzLWkgO6ShwinI=",
	"早上好，吃了吗？":                     "nBDMb4+5/Wao4XV1106zu1ue9uXqHHZO9oNFtRpdQQE=",
	"[语音]":                         voiceLabel, // as the original answered it
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxx": "IBIZ7s+4AdsGScjFj6/3n+eRr3Pt8pVz7W9Z4kPrQtI=",
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxx": "IBIZ7s+4AdsGScjFj6/3nwKxL1aPQBSM7Z" +
		"7BxovMsRrgAjGO8xbyD9tUy63YSSIG",
}

func TestTextsAreEncryptedAsClientsDo(t *testing.T) {
	c := textCipher(t, chat.DefaultVoiceKey)
	for text, want := range encrypted {
		if got := c.Encrypt(text); got != want {
			t.Errorf("%q encrypted is %s, want %s", text, got, want)
		}
		if got := c.Readable(want); got != text {
			t.Errorf("%s is %q, want %q", want, got, text)
		}
	}
	back := func(text string) bool {
		text = strings.ToValidUTF8(text, "?")
		return c.Readable(c.Encrypt(text)) == text &&
			c.Readable(c.Encrypt(c.Encrypt(text))) == c.Encrypt(text)
	}
	if err := quick.Check(back, nil); err != nil {
		t.Error(err)
	}
}

func TestOtherTextsStayAsTheyAre(t *testing.T) {
	c, other := textCipher(t, chat.DefaultVoiceKey), textCipher(t, strings.Repeat("k", 32))
	for what, text := range map[string]string{
		"nothing":                "",
		"a plain text":           "hello",
		"Chinese":                "早上好",
		"base64 of no block":     "aGVsbG8=",
		"base64 of a block":      "MTIzNDU2Nzg5MDEyMzQ1Ng==",
		"letters of a multiple":  strings.Repeat("a", 64),
		"with another key":       other.Encrypt("hello"),
		"cut short":              encrypted["hello, world!"][:24],
		"without its padding":    strings.TrimRight(encrypted["a"], "="),
		"with more around it":    " " + encrypted["a"],
		"what is no valid UTF-8": c.Encrypt("\xff\xfe"),
	} {
		if got := c.Readable(text); got != text {
			t.Errorf("%s: %q became %q", what, text, got)
		}
	}
}

func TestAKeyOfTextsHas32Bytes(t *testing.T) {
	for _, key := range []string{"", strings.Repeat("k", 31), strings.Repeat("k", 33),
		strings.Repeat("钥", 32)} {
		if _, err := chat.NewTextCipher(key); err == nil {
			t.Errorf("a key of %d bytes is taken", len(key))
		}
	}
}
