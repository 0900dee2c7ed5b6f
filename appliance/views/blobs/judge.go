package blobs

import (
	"encoding/hex"
	"fmt"

	"eyrie/engine/wire"
	"eyrie/wal/blob"
)

// Judge returns why an event of that space, which may name blobs, is not to be
// stored: one of them is not there. If it may be, they stay at least for the
// store's grace time, until the view has seen who names them. err is that of
// the disk.
func Judge(store *blob.Store, space string, payload []byte) (refusal *wire.FieldError, err error) {
	named := wire.Blobs(nil, payload)
	if len(named) > wire.MaxBlobs {
		return &wire.FieldError{Code: wire.CodeSize, Msg: fmt.Sprintf("an event names at most %d blobs", wire.MaxBlobs)}, nil
	}
	for i := range named {
		n := &named[i]
		ok, err := store.Use(blob.Key{Space: space, Sum: n.SHA256})
		if err != nil {
			return nil, err
		}
		if !ok {
			e := &wire.FieldError{Code: wire.CodeBlob, Msg: "the blob " + hex.EncodeToString(n.SHA256[:]) + " is not there: put it first, then send the event"}
			if wire.FieldOf([]byte(n.Field)) != wire.FUnknown {
				e.Field = n.Field
			}
			return e, nil
		}
	}
	return nil, nil
}
