package vault

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"eyrie/appliance/audit"
	"eyrie/engine/wire"
	"eyrie/wal"
)

// Wanted says what is restored.
type Wanted struct {
	From     string // folder of backups
	Backup   string // its name; "" is the newest
	Data     string // the data folder to make
	ToOffset uint64 // the last to keep; 0 is all
	ToTime   time.Time
	By       string // who asks for it
}

// Restored is a data folder that was made.
type Restored struct {
	Data    string  `json:"data"`
	Backup  string  `json:"backup"`
	Log     string  `json:"log"` // id
	Epoch   uint32  `json:"epoch"`
	Next    uint64  `json:"next"`    // first offset to be given out
	Recv    float64 `json:"recv_ms"` // of the last record kept, Unix ms
	Bytes   int64   `json:"bytes"`
	Dropped Dropped `json:"dropped"`
	Seconds float64 `json:"seconds"`
}

// Dropped is what the backup holds behind the point in time.
type Dropped struct {
	From      uint64         `json:"from"` // offsets; 0 for nothing
	To        uint64         `json:"to"`
	Records   uint64         `json:"records"`
	FromRecv  float64        `json:"from_ms"`
	ToRecv    float64        `json:"to_ms"`
	Kinds     map[string]int `json:"kinds"`
	Agents    int            `json:"agents"`      // seen first among them
	AgentList []string       `json:"agent_list"`  // of these, the first hundred
	Producers int            `json:"producers"`   // whose numbers are not settled any more
	Numbers   []Numbers      `json:"number_list"` // of these, the first hundred
}

// Numbers of a producer.
type Numbers struct {
	Producer string `json:"producer"` // space/owner/id
	From     uint64 `json:"from"`
	To       uint64 `json:"to"`
}

// Restore makes a data folder from a backup, and notes that in its audit chain.
// Errors are those of wal.Restore.
func Restore(ctx context.Context, w Wanted, progress func(done, total int64)) (*Restored, error) {
	o := wal.RestoreOptions{From: w.From, Backup: w.Backup, Data: w.Data, ToOffset: w.ToOffset, Progress: progress}
	if !w.ToTime.IsZero() {
		o.ToTime = w.ToTime.UnixNano()
	}
	r, err := wal.Restore(ctx, o)
	if err != nil {
		return nil, err
	}
	out := &Restored{Data: w.Data, Backup: r.Backup.Name, Log: uuid(r.Backup.Log), Epoch: r.Epoch, Next: r.Next, Recv: millis(r.Recv), Bytes: r.Backup.Bytes(), Seconds: seconds(r.Took)}
	d := &r.Dropped
	out.Dropped = Dropped{From: d.From, To: d.To, Records: d.Records, FromRecv: millis(d.FromRecv), ToRecv: millis(d.ToRecv), Kinds: d.Kinds,
		Agents: d.AgentCount, AgentList: list(d.Agents), Producers: d.ProducerCount, Numbers: []Numbers{}}
	for _, n := range d.Producers {
		out.Dropped.Numbers = append(out.Dropped.Numbers, Numbers{Producer: n.Producer.Space + "/" + n.Producer.Owner + "/" + wire.FormatUUID(n.Producer.ID), From: n.From, To: n.To})
	}
	log, err := wal.Open(wal.Options{Dir: filepath.Join(w.Data, "log"), Seal: wal.SealOptions{Off: true, Tier: Tier}})
	if err != nil {
		return nil, fmt.Errorf("what was restored does not open: %w", err)
	}
	record(log, &audit.Entry{Action: "backup.restore", Object: out.Backup, By: w.By,
		Detail: fmt.Sprintf("from %s, epoch %d from offset %d on, %d records dropped", w.From, out.Epoch, out.Next, d.Records)})
	return out, log.Close()
}
