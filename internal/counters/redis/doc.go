// Package redis keeps a copy in Redis of what the records count: message ids, unread counters,
// members and mutes of groups, push tokens. Original servers look for it there and count in the
// same keys. The records are the truth. Whatever the copy loses, or could not be told while Redis
// was away, comes back from them.
//
// The hard part is to change such a key exactly once. A call may time out and be done later. A
// process may die between the COMMIT and the call. Originals count in the same keys meanwhile. And
// Redis may forget everything. Four things make the copy exact.
//
// # Revisions
//
// Each change of a talk's counters has a number, rev of the talk's row in IMProxyTalk. It says what
// the count of the records was before it, and is after it.
//
// # Companions
//
// Beside a key stands dbproxy:{KEY}, a hash of ours, in the same slot of a Cluster. It has the
// revision that was applied last, and the count of the records at that revision. A script changes
// both at once:
//
//	unread_2             {1: 3}        user 2 has 3 unread from user 1: two are of an original,
//	dbproxy:{unread_2}   {1: "7 1"}    at revision 7 the records knew of 1
//
//	change: revision 9, unread 3       revision 8 is still on its way
//	-> unread_2 {1: 3 + (3 - 1)}, companion {1: "9 3"}
//	change: revision 8, unread 2       now it comes: older than 9, so there is nothing to do
//
// So a change adds only what is missing. One that is applied twice or late does nothing, one that
// was lost comes with the next, and what originals add stays. In truth the upper half of these
// numbers is the epoch: see scripts.go.
//
// # Commit records
//
// What a transaction moved stands in its row of IMProxyCommit. The row is deleted when Redis has
// followed. What is found there later, any proxy applies. It does not delete the row then, but
// empties it: the proxy that made it may be about to ask whether its commit was stored.
//
// # Epochs
//
// Each role of an instance (unread, group_set, token, group_member) has an epoch, in the key
// dbproxy:epoch:ROLE: an id, and a beat that is raised every second. The records have both as
// marks. Redis gets a beat first, so the records are never ahead of it. When the key is missing, or
// has another id or an older beat than the records, Redis was flushed, or came back empty or with
// an old snapshot. When the records are far behind, they come from a backup. Then a new epoch
// begins. From then on a key is believed only when its companion says that it was filled from the
// records in that epoch; whoever reads or changes a key fills it.
//
// In the first epoch of all, a key without a companion is believed: its value is what originals
// have counted. A Cluster begins with the second epoch, because one of its nodes can lose its keys
// unseen, and originals do not work on one.
//
// An instance that evicts keys begins a new epoch, too: see evict.go.
//
// # Ids
//
// Ids come from Redis, in one call for each batch, while the talks are locked: originals take
// theirs there as well. A counter is believed if it is not below the talk's last id, not above the
// largest id, and was checked in this epoch. Otherwise Next answers 0, the records read the message
// table, and the counter is raised to what they find. Only an impossible one is lowered. When an id
// is not the one right after the talk's last, somebody else has written there, and the records read
// it as well. While Redis is away ids go on from the talk's row. So there are no repeats; and there
// are no gaps, except where nobody knows whether a call was done.
//
// # While Redis is away
//
// Then the records are asked instead, and commit records gather. (But no proxy starts without
// Redis: originals may be counting there.) Once an instance is back, the commits are applied, 200
// at a time, and it is written to again. It is read again three seconds later: by then all proxies
// have seen that it is back, and what they left behind is applied as well (catchup.go). A Redis
// that crashes may lose the last it was told, too little for a beat to be missing. So each proxy
// applies what it applied last once more when a connection had to be made anew (tail.go).
//
// What originals change in Redis alone (their own unread counts, levels, mutes and tokens) stands
// in no table. Of a talk that a proxy has written to, the records know the counts as they were
// then. The rest is lost if Redis loses it.
package redis
