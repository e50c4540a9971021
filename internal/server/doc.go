// Package server moves frames. It listens, splits each connection into requests for a Handler,
// writes the answers as soon as they are ready, and keeps the clocks and limits. It knows frames
// and no messages. docs/protocol.md has the rules of the wire; Config has the limits.
//
// # Connections
//
// A connection has two goroutines. Its reader reads a frame. While the frame comes, the reader
// waits until there is memory for it, and then until the connection has a free slot; then it calls
// Handler.Start. It waits for nothing else, so requests are started in the order read. The writer
// writes the answers that are queued, and a heartbeat when it has had nothing to write for long.
// Handlers only append to the queue between the two and never wait for a peer.
//
// A request holds its slot, and memory, until its answer is written: at first the memory of its
// frame and what the handler reserved, and once it is finished the memory of its answer.
//
// # Memory
//
// The process has one budget of memory for all that is pending: frames that are being read,
// requests at work, and answers that are not yet written (Config.MaxPending). Half of it belongs to
// the connections in equal parts, their floors: what a connection holds up to its floor, it never
// waits for. The other half is shared. Of that half a connection gets no more than its share, and
// no more than a quarter of what is free; for a frame, an eighth. So the fuller the budget is, the
// less one connection gets, and those who need little still find something. A frame counts by the
// bytes that have come, never by the length that it announces. A connection that gets no memory is
// not read, and TCP makes its sender wait. (budget.go)
//
// Three claims at a time may have more than fits: one frame, one frame that comes quickly, and one
// answer. So a frame longer than the whole budget gets through; frames that each have a part and
// want more do not wait for each other for ever; and neither an answer nor a quick frame waits for
// a slow one.
//
// # Order
//
// When memory is released, it goes to the claim that comes first among those that wait. Of two
// claims, the first of these rules that tells them apart decides (order.go):
//
//   - A claim from an address that holds most of the shared half comes last.
//   - A connection that has long held more than its floor comes after one that has not.
//   - A connection that would then hold less comes first.
//   - A claim that has waited longer comes first.
//
// # Relief
//
// A peer that sends or takes too slowly over ten seconds is closed (pace.go). Where others wait for
// memory, ten seconds are too long. So twenty times a second the server searches for connections
// that hold memory which somebody else has waited for, and whose peers would need too long until it
// is released: they send too little of a frame that they began, or take too little of their
// answers. Those are closed, the one that holds most first. (relief.go)
//
// When all connections are taken, a new one takes the slot of a connection that has asked nothing
// for long. Which addresses hold most memory and most connections is told by Server.Peers and in
// the log. (peers.go)
package server
