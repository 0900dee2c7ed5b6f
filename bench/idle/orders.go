package idle

// ServerJob is what the server is told first.
type ServerJob struct {
	Loops int `json:"loops"` // each with a table of its own
}

// ServerSays is what the server answers: its address first, then a Look for
// each line it is sent.
type ServerSays struct {
	Addr  string `json:"addr,omitempty"`
	Error string `json:"error,omitempty"`
	Look
}

// Look is what the server holds, after a collection.
type Look struct {
	Conns int    `json:"conns"`
	Heap  uint64 `json:"heap"` // live bytes
	Stack uint64 `json:"stack"`
}

// ClientJob is what the client is told first.
type ClientJob struct {
	Addr    string `json:"addr"`
	Threads int    `json:"threads"`
}

// ClientOrder has the client hold so many links.
type ClientOrder struct {
	To int `json:"to"`
}

// ClientSays is the client's answer.
type ClientSays struct {
	Open  int    `json:"open"`
	Error string `json:"error,omitempty"`
}
