package workload

import (
	"bytes"
	"testing"

	"github.com/gobwas/ws"
)

func TestServerFrame(t *testing.T) {
	for _, n := range []int{0, 5, 125, 126, 65535, 65536} {
		p := bytes.Repeat([]byte{7}, n)
		b := ws.MustCompileFrame(ws.NewBinaryFrame(p))
		op, got, used := ServerFrame(append(b, "next"...))
		if op != ws.OpBinary || !bytes.Equal(got, p) || used != len(b) {
			t.Errorf("%d bytes: op %v, %d bytes, %d used", n, op, len(got), used)
		}
		for cut := range min(len(b), 12) {
			if _, _, used := ServerFrame(b[:cut]); used != 0 {
				t.Errorf("%d bytes cut to %d were read", n, cut)
			}
		}
	}
}
