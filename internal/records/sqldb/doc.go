// Package sqldb speaks to MySQL and to SQLite. It knows no table: its callers bring the statements.
// It sees to it that they reach the server unharmed, says what became of them, and what can be done
// about an error. A DB is a database that is written to, a Pool one that is only read.
//
// # Two engines
//
// All that differs between the engines is behind one interface (engine.go). Those who write
// statements see a part of it, the Dialect. There are two:
//
//   - MySQL: 5.7 and 8, MariaDB 10, Galera, and what is compatible with them. Many processes write
//     at the same time, so rows that must stay as they are have to be locked. Each statement is a
//     round trip.
//   - SQLite, the embedded store: a file. One connection writes at a time and has the file for
//     itself; eight others read. Each connection keeps its compiled statements, as compiling takes
//     longer than running for most of ours.
//
// A commit is on the disk before it returns. SQLite runs in WAL mode with synchronous=FULL. MySQL
// promises the same with innodb_flush_log_at_trx_commit=1 and sync_binlog=1, which are for its
// operator to set; "dbproxy config check" checks them.
//
// # No value ends its text
//
// A value may contain anything, and must never end the text that it stands in. Whether it does
// depends on the character set in which the server reads the text. The client alone cannot say
// which: a server's init_connect and skip-character-set-client-handshake change it. So:
//
//   - Every connection says what it is: character set, SQL mode, isolation and more. Then it asks
//     the server what it has become, and is not used when that is something else
//     (mysql_connect.go).
//   - The server binds values. Statements are prepared, and each connection keeps the 256 that it
//     used last (mysql_statements.go). So that there are few different texts, lists are filled up
//     to a power of two of entries (Chunked), and rows are inserted in powers of two.
//   - Where the server prepares no more statements (its max_prepared_stmt_count), values go with
//     the text: numbers in decimal digits, text in hexadecimal ones, which end nothing in any
//     character set.
//
// # Batches
//
// Batches of messages go through connections of their own (DB.Batch): half of a master's, and at
// most eight. Only these may send several statements as one text, which saves round trips. A
// transaction there (joined) keeps back what it executes, until its next query or its COMMIT takes
// it along. Values are put into such a text (mysql_text.go), in the character set that the
// connection was seen to have. A SELECT stands before the COMMIT. It has an answer when all before
// it was done: so an insert that failed is told from a COMMIT of which nothing is known. No text is
// larger than the server's max_allowed_packet: more goes in several texts, before the COMMIT
// (mysql_packet.go).
//
// A node of Galera may abort a transaction in the midst of a text, and go on with the rest of it,
// each statement for itself and without an error. So each connection asks @@wsrep_on first. Where
// that is 1, or cannot be asked, it sends one statement at a time, prepared as all others.
// MySQL.Join can say so, too, for what takes no joined texts.
//
// # What became of a transaction
//
// A transaction is a function that may run several times: DB.Tx, DB.Change and DB.Batch run it
// again while the server undoes it. A lock that was not had and a connection that broke before
// anything was sent get three tries. Where the server preferred another transaction there are up to
// 20, with pauses at random between: on a cluster whose nodes are all written to, two that have
// written the same row find that out at the COMMIT only. On such a cluster a node may also lack for
// a moment what was acknowledged at another. So a transaction that refuses somebody or something
// that it does not find waits once until its node has applied all that was committed before, and
// runs again (DB.MayLack, DB.CatchUp). All who come to this while one waits share the next wait, so
// that many wrong requests cost few.
//
// Within a transaction on Galera no further statement is prepared, but goes as a text: MariaDB
// 10.11 may undo the transaction meanwhile, and say nothing of that.
//
// Errors that leave the package have a kind of package chat. Of an error of the work nothing is
// kept. An error of the COMMIT itself is UnknownOutcome unless the server says that it undid it:
// then nobody knows whether it was stored, and the caller must ask (see chat.Ledger). A caller's
// text that a column cannot hold is Invalid, all else is Unavailable, and what the server
// refuses about a statement is chat.ErrRejected besides. Each error also says what an operator can
// do about it.
//
// # Shared queries
//
// Who asks for something while a query for it runs waits, and shares the next one with all others
// who wait (Shared): for a long list that all want alike, and for a node to catch up. Each is
// answered by a query that began after it asked.
//
// # The watch over the master
//
// Whenever something has failed on a MySQL master, the watch (DB.WatchMaster) probes it, through
// connections of its own, until it is well. So the log says that MySQL is away, or takes no writes,
// and not only that a request has failed; DB.MasterTrouble says it to others. When a server refuses
// writes, or takes them again, the connections made before are not used any more: after a failover
// the old master may still run, and answer those who read from it.
package sqldb
