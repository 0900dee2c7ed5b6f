// Package forget owns the records by which the log says what was forgotten: one
// when somebody asks for it, one when it is done. They name an agent or a run and
// tell how many records and bytes it was, never what these held. And it owns what
// stays of a link record. Pure code; any goroutine may call it.
package forget
