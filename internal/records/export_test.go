package records

// Unshared has requests of a store run queries of their own.
func Unshared(s *Store) { s.reader.batches = newBatches(s.reader, 1<<30) }
