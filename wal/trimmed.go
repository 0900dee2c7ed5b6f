package wal

import (
	"encoding/binary"
	"errors"

	"github.com/cockroachdb/pebble/v2"
)

// trimmed tells where the log begins once retention has forgotten its oldest
// stretches, so that those are known from what is lost. Value of the key "mtrimmed":
// next 8, digest 8, records 8, instant 8. It is synced before anything goes.
type trimmed struct {
	next    uint64 // first offset that is left; 0 for a log that begins at 1
	digest  uint64 // of all headers below next
	records uint64 // forgotten, in all
	at      int64  // Unix ns
}

const trimmedBytes = 32

func (t *trimmed) encode() []byte {
	p := make([]byte, 0, trimmedBytes)
	for _, x := range [...]uint64{t.next, t.digest, t.records, uint64(t.at)} {
		p = binary.LittleEndian.AppendUint64(p, x)
	}
	return p
}

// trimmed reads what is noted, the zero value if nothing is.
func (l *Log) trimmed() (t trimmed, err error) {
	err = l.get([]byte(metaTrimmed), func(v []byte) error {
		if len(v) != trimmedBytes {
			return errors.New("where the log begins is damaged")
		}
		le := binary.LittleEndian
		t = trimmed{next: le.Uint64(v), digest: le.Uint64(v[8:]), records: le.Uint64(v[16:]), at: int64(le.Uint64(v[24:]))}
		return nil
	})
	if errors.Is(err, pebble.ErrNotFound) {
		err = nil
	}
	return t, err
}

// noteTrimmed notes that the stretches in gone are being forgotten.
func (l *Log) noteTrimmed(gone []Stretch) error {
	t, err := l.trimmed()
	if err != nil {
		return err
	}
	for _, s := range gone {
		if s.Base >= t.next { // else noted before a crash
			t.records += s.Records
		}
	}
	last := gone[len(gone)-1]
	t.next, t.digest, t.at = last.Next, last.digest, l.o.Now().UnixNano()
	return errors.Join(l.db.Set([]byte(metaTrimmed), t.encode(), pebble.Sync), l.Err())
}
