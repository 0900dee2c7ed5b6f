package node

import (
	"context"
	"time"
)

// retuneEvery is how long a change of the host may go unnoticed.
const retuneEvery = 10 * time.Second

// retune follows the host while the node runs.
func (n *Node) retune(ctx context.Context) {
	t := time.NewTicker(retuneEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			for _, d := range n.tuner.again() {
				n.logger.Info("tuned", "key", d.Key, "value", d.Value, "why", d.Why)
			}
		}
	}
}

// meterTuning shows the decisions that are numbers in /metrics.
func (n *Node) meterTuning() {
	for _, w := range n.tuner.tuned() {
		if key := w.Key; n.tuner.number(key) > 0 {
			n.set.NewGauge(`eyrie_tuned{key="`+key+`"}`, func() float64 { return n.tuner.number(key) })
		}
	}
}
