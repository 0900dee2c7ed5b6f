package peers

import (
	"bytes"
	"encoding/binary"

	"github.com/gobwas/ws"
)

// burst is w.Burst masked frames as a client sends them, and the answer that an
// echo owes for them.
func burst(w *Workload) (request, answer []byte) {
	var req, ans bytes.Buffer
	for i := range w.Burst {
		p := make([]byte, w.Payload)
		for j := range p {
			p[j] = byte(i + j)
		}
		// A bytes.Buffer takes everything.
		_ = ws.WriteFrame(&ans, ws.NewBinaryFrame(p))
		var mask [4]byte
		binary.LittleEndian.PutUint32(mask[:], 0x9e3779b9*uint32(i+1))
		_ = ws.WriteFrame(&req, ws.MaskFrameWith(ws.NewBinaryFrame(p), mask))
	}
	return req.Bytes(), ans.Bytes()
}
