package config

// LoadAESKey reads the key of texts alone, for commands that show texts and use no servers. Other
// mistakes in the configuration do not matter to it.
func LoadAESKey(path string, env []string) (Secret, error) {
	text, err := readSmall(path, maxFile)
	if err != nil {
		return "", err
	}
	l := newLoader(path, parse(text), env)
	l.read(l.keys["aesKey"])
	if len(l.mistakes) > 0 {
		return "", &Error{Path: path, Mistakes: l.mistakes}
	}
	return l.config.AESKey, nil
}
