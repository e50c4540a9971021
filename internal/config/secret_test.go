package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// lines are the settings of c as they would stand in a file.
func lines(c *Config) (text string) {
	for _, s := range c.Settings() {
		text += s.Key + "=" + s.Value + "\n"
	}
	return text
}

// TestSecretsAreNeverShown prints, logs and encodes a configuration in every way there is.
func TestSecretsAreNeverShown(t *testing.T) {
	c, _ := loaded(t, original+
		"unread_password=s3=cret\ngroup_set_sentinels=a:1\ngroup_set_sentinel_master=m\n"+
		"group_set_sentinel_password=s3=cret")
	var shown bytes.Buffer
	for _, v := range []any{c, *c, c.Master, &c.Master, c.Unread, c.Caches(), c.Master.Password,
		c.AESKey, c.Settings()} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
			fmt.Fprintf(&shown, verb+"\n", v)
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		shown.Write(text)
		slog.New(slog.NewTextHandler(&shown, nil)).Info("it", "v", v)
		slog.New(slog.NewJSONHandler(&shown, nil)).Info("it", "v", v)
	}
	for _, secret := range []string{"s3=cret", "other", c.AESKey.Reveal(),
		fmt.Sprintf("%x", "s3=cret"), fmt.Sprintf("%X", "s3=cret")} {
		if i := strings.Index(shown.String(), secret); i >= 0 {
			t.Errorf("%q is shown: %s", secret, shown.String()[max(0, i-100):i+len(secret)])
		}
	}
	for _, want := range []string{"teamtalk_master_password=" + hidden + "\n", "aesKey=" + hidden +
		"\n", "token_password=\n"} {
		if !strings.Contains(lines(c), want) {
			t.Errorf("%q is not in:\n%s", want, lines(c))
		}
	}
}
