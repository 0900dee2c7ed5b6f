package node

import (
	"context"
	"strings"
	"time"

	"eyrie/appliance/audit"
	"eyrie/appliance/intake"
	"eyrie/appliance/obs"
)

// audit writes an entry of the log's audit chain. Where the log does not take
// it, that is said.
func (n *Node) audit(ctx context.Context, action, object, by, remote, detail string) {
	err := n.intake.Submit(ctx, &intake.Submission{Audit: &audit.Entry{Action: action, Object: object, By: by, Remote: remote, Detail: detail}})
	if err != nil {
		n.logger.Warn("an action could not be recorded", "action", action, "object", object, "by", by, "err", err)
	}
}

// bySystem stands for eyrie itself.
const bySystem = "system"

// beganWait bounds how long the start waits for its own record.
const beganWait = 2 * time.Second

// began records the start, with the settings that are not the defaults: of a
// change the next start tells.
func (n *Node) began(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, beganWait)
	defer cancel()
	var set []string
	for _, v := range n.o.Settings(nil) {
		if v.From != "default" && v.From != "tuned" && !v.Chosen {
			set = append(set, v.Key+"="+v.Value)
		}
	}
	if n.madeKeys {
		n.audit(ctx, "keys.create", "keys", bySystem, "", "the standing keys were made")
	}
	n.audit(ctx, "server.start", n.hostname, bySystem, "", strings.Join(append([]string{"version " + obs.Stamp().Version}, set...), ", "))
}
