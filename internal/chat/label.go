package chat

// voiceLabel is the text that stands for a voice message in lists, encrypted as clients expect it.
func voiceLabel(key string) (string, error) {
	c, err := NewTextCipher(key)
	if err != nil {
		return "", err
	}
	return c.Encrypt("[语音]"), nil
}
