package counters

// LimitNames has fewer names be remembered than there would be, so that a test need not make so
// many.
func (f *Failures) LimitNames(most int) { f.most = most }

// LimitNames has fewer names be remembered in Redis.
func (f *SharedFailures) LimitNames(most int) { f.most = most }

// HashOf is a name in tables and in Redis.
func HashOf(name string) string { return keyOf(name).String() }
