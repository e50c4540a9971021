package chat

// voiceLabel is what stands for the sound of a voice message in lists, encrypted as clients expect
// it.
func voiceLabel(key string) (string, error) {
	c, err := NewTextCipher(key)
	if err != nil {
		return "", err
	}
	return c.Encrypt("[语音]"), nil
}
