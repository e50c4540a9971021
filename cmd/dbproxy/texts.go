package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/config"
)

// textsFlag gives a command that talks to a proxy, and shows texts, the flag that says with which
// key they are encrypted. The function it returns finds that out.
func textsFlag(c *cobra.Command) func() (chat.TextCipher, error) {
	conf := c.Flags().String("config", "",
		"decrypt texts with the aesKey of a configuration `file`; without this "+
			"./dbproxyserver.conf is taken, and without that the key of TeamTalk's own files")
	_ = c.MarkFlagFilename("config", "conf") // fails only without the flag
	return func() (chat.TextCipher, error) {
		path := *conf
		if path == "" {
			path = config.File
		}
		key, err := config.LoadAESKey(path, os.Environ())
		if *conf == "" && errors.Is(err, fs.ErrNotExist) {
			return chat.NewTextCipher(chat.DefaultVoiceKey)
		}
		if err != nil {
			return chat.TextCipher{}, fmt.Errorf("cannot tell with which aesKey texts are "+
				"encrypted "+
				"(--config names the configuration): %w", err)
		}
		return chat.NewTextCipher(key.Reveal())
	}
}
