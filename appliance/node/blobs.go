package node

import (
	"eyrie/appliance/views/blobs"
	"eyrie/engine/wire"
)

// judgeBlobs refuses events that name blobs which are not there.
func (n *Node) judgeBlobs(space string, payload []byte) (*wire.FieldError, error) {
	e, err := blobs.Judge(n.blobs, space, payload)
	if err != nil {
		n.slow("blobs cannot be read", "err", err)
	}
	return e, err
}
