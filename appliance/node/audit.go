package node

import (
	"context"
	"strings"

	"eyrie/appliance/audit"
	"eyrie/appliance/intake"
	"eyrie/appliance/obs"
)

// audit writes an entry of the log's audit chain. Where the log does not take
// it, that is said.
func (n *Node) audit(ctx context.Context, action, object, by, remote, detail string) {
	s := &intake.Submission{Audit: &audit.Entry{Action: action, Object: object, By: by, Remote: remote, Detail: detail}}
	n.recorded(s.Audit, n.intake.Submit(ctx, s))
}

// recorded tells where an entry could not be written.
func (n *Node) recorded(e *audit.Entry, err error) {
	if err != nil {
		n.logger.Warn("an action could not be recorded", "action", e.Action, "object", e.Object, "by", e.By, "err", err)
	}
}

// bySystem stands for eyrie itself.
const bySystem = "system"

// began records the start, before anything else that is submitted, with the settings
// that are not the defaults: of a change the next start tells. Agents do not wait
// until that is durable.
func (n *Node) began() {
	var set []string
	for _, v := range n.o.Settings(nil) {
		if v.From != "default" && v.From != "tuned" && !v.Chosen {
			set = append(set, v.Key+"="+v.Value)
		}
	}
	entries := []*audit.Entry{{Action: "server.start", Object: n.hostname, By: bySystem, Detail: strings.Join(append([]string{"version " + obs.Stamp().Version}, set...), ", ")}}
	if n.madeKeys {
		entries = append([]*audit.Entry{{Action: "keys.create", Object: "keys", By: bySystem, Detail: "the standing keys were made"}}, entries...)
	}
	for _, e := range entries {
		s := &intake.Submission{Audit: e}
		if err := n.intake.Offer(s); err != nil {
			n.recorded(e, err)
			continue
		}
		n.running.Go(func() { n.recorded(e, n.intake.Await(context.Background(), s)) }) // answered by the intake, its end included
	}
}
