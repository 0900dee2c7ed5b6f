package seriesbench

import (
	"context"
	"time"
)

// Store is one of those compared.
type Store interface {
	// Append takes the steps from..to of the data and returns how long it took.
	Append(ctx context.Context, from, to int) (time.Duration, error)
	// CPU is what it has used so far, for what it put off too.
	CPU() (time.Duration, error)
	// Memory is what it holds beyond what it held when it was empty.
	Memory() (uint64, error)
	// Flush brings everything to the disk as it stays there and returns the bytes.
	Flush(ctx context.Context) (Disk, error)
	// Query asks n times, of one host after the other from the one given on.
	Query(ctx context.Context, q Query, host, n int) (Answer, error)
	Close()
}

// Disk is what lies on the disk.
type Disk struct {
	Bytes uint64 `json:"bytes"` // of samples and index
	WAL   uint64 `json:"wal"`   // of a log beside them, as it was before the flush
}

// Query is one of the questions.
type Query string

// The questions, as TSBS names them.
const (
	SingleGroupBy Query = "single-groupby-1-1-1" // the greatest of each minute of the last hour, of one metric of one host
	LastPoint     Query = "lastpoint"            // the newest sample of one metric of each host
	DoubleGroupBy Query = "double-groupby-1"     // the mean of each hour of each host, of one metric
)

// Answer is what a store found; the last of the questions counts.
type Answer struct {
	Took  time.Duration `json:"took"`  // of all of them
	Count int           `json:"count"` // of values
	Sum   float64       `json:"sum"`   // of values
}

// order is what a child is told, one JSON line each; each is answered by one.
type order struct {
	Do    string `json:"do"` // open, append, cpu, memory, flush, query
	Dir   string `json:"dir,omitempty"`
	Data  string `json:"data,omitempty"`
	From  int    `json:"from"`
	To    int    `json:"to"`
	Query Query  `json:"query,omitempty"`
	Host  int    `json:"host"`
	N     int    `json:"n"`
	Hosts int    `json:"hosts"`
}

type answer struct {
	Error  string        `json:"error,omitempty"`
	Took   time.Duration `json:"took"`
	CPU    time.Duration `json:"cpu"`
	Memory uint64        `json:"memory"`
	Disk   Disk          `json:"disk"`
	Found  Answer        `json:"found"`
}
