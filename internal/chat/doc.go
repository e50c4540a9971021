// Package chat holds the rules of the proxy: who may log in, what a message, a session and a group
// are, what is refused and what is counted. It knows neither protobuf nor SQL. What it needs from
// below it says in small interfaces (Ledger, Archive, Directory, …), each beside the code that uses
// it, with the contract in its comment. The command package calls it from above.
//
// A method of such an interface is one whole operation: a transaction never spans two calls.
//
// # Reads and changes
//
// Reads are plain methods. Most of them are for many requests of a kind at once, and have a Result
// for each. Whoever calls them gathers such requests in a turns.Stage, whose batches take the
// service's slots (Service.Reads).
//
// A change belongs to a Lane, a FIFO per talk, user, or receiver of files. The changes of one lane
// run one after the other, in the order in which they were asked for (Service.Ordered); lanes do
// not wait for each other. Messages and read acks wait in the lane of their talk, too, but they are
// stored by the committer, many together (Service.Send, Service.ReadAck). Reads do not wait for
// lanes, and the committer does not wait for other changes of other lanes.
//
// Logins are served as reads are. What they have of a change, the count of failures, holds each
// name for itself (nameLocks).
//
// Read acks have no answer that a client could wait for. So a read that counts unread messages
// first waits for the acks that its user sent before (Service.AwaitAcks).
//
// # Turns
//
// Where requests wait for the store, the connections that they come from take turns: for reads, for
// changes, for a message's part in a batch, for the storing of sounds. Package turns tells how.
// Within a lane, order comes before turns.
//
// # The committer
//
//	connections        lanes, one per talk           committer                 SQLite, MySQL
//
//	 ──▶ Send ──▶  pair 1-2   [m7 m8 m9]  ┐
//	 ──▶ Send ──▶  pair 1-5   [m3]        ├─ gather ─▶ one batch ─▶ one transaction, one fsync
//	 ──▶ ack  ──▶  group 4    [a1 m2]     ┘            up to 512 rows or 1 MiB
//	 ──▶ voice ─▶  group 9    [sound is being stored: the lane waits, no other]
//
// To store one message alone costs a transaction and an fsync. So the committer takes the messages
// at the heads of all lanes, stores them in one transaction, and answers in the order in which they
// were submitted; meanwhile the next batch gathers. There is no timer: a lone message goes at once.
// The more are sent, the more share a commit. Once a batch is stored the next one is begun, while
// the counters follow the first and its senders are answered. Batches with messages of the same
// talk are answered one after the other, so that a talk's answers stay in order. When a commit
// takes longer than half a second, the next batch is begun beside it; the two have no talk in
// common. So whoever keeps the row of a talk locked holds up that talk, and not all others.
//
// The sound of a voice message is stored before the message, through Voice; its lane waits for
// that. A crash between the two leaves a sound that no message refers to, never a message without
// its sound.
//
// A request has a deadline. What is still queued then is dropped without being done; a message a
// moment before, so that its sender learns of it in time (ErrDropped).
//
// # Stored, or not?
//
// What a batch certainly did not store (kind Unavailable) is tried again, a few times. A batch with
// a row that the database refuses is split into halves until that row is alone, so that its
// neighbours are stored.
//
// The connection to the database may break while it commits. Then nobody knows what became of the
// batch, and only Ledger.Outcome can tell: it asks for the record that each commit writes with its
// rows. The committer asks until it knows, or until the last deadline of the batch. Only then the
// senders are told that the outcome is unknown. (committer.go)
//
// # Counters
//
// How a commit moved the counters of unread messages stands in its record, and is applied to
// Counters after the commit. What could not be applied then is applied later: by this process while
// the counters are behind, and within minutes by any process, for those that have died. (sweep.go)
package chat
