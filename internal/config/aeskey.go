package config

// LoadAESKey is Load for the key of texts alone, for commands that show texts and use no servers:
// whatever else is wrong with the configuration is no matter of theirs.
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
