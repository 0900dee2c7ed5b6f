package node

import (
	"context"

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

// besideLog is what blobs take of the disk budget, less those that what was
// dropped alone has named.
func (n *Node) besideLog(ctx context.Context) (uint64, error) {
	v := n.views()
	if v == nil {
		return 0, errLoading
	}
	s, err := v.sweeper.Sweep(ctx)
	return uint64(s.Left), err
}
