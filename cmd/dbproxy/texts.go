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

// textsFlag is for commands that talk to a proxy and show texts. It gives c the flag that names the
// configuration with the key by which texts are encrypted. The function it returns reads that key.
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
				"encrypted (--config names the configuration): %w", err)
		}
		return chat.NewTextCipher(key.Reveal())
	}
}
