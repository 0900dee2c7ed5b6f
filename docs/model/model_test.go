package model

import (
	"errors"
	"os"
	"testing"
	"time"
)

// bounds that every run visits whole.
var bounds = map[string]Budget{
	"cuts":      {Numbers: 3, Links: 2, Cuts: 2, Crashes: 1, Resends: 1},
	"two lives": {Numbers: 2, Links: 2, Cuts: 1, Crashes: 1, Births: 1},
	"restore":   {Numbers: 2, Links: 2, Restores: 1, Births: 1},
	"expiry":    {Numbers: 2, Links: 2, Cuts: 1, Crashes: 1, Expiries: 1, Births: 1},
	"shed":      {Numbers: 3, Links: 2, Cuts: 1, Crashes: 1, Sheds: 1, Gives: 1},
	"given up":  {Numbers: 3, Links: 1, Cuts: 1, Gives: 1, Resends: 1},
	"one link":  {Numbers: 2, Links: 1, Cuts: 1, Crashes: 1, Restores: 1, Sheds: 1, Births: 1},
}

// wide are bounds for an hour in which nobody waits: EYRIE_MODEL=wide.
var wide = map[string]Budget{
	"cuts":      {Numbers: 4, Links: 3, Cuts: 2, Crashes: 2, Resends: 1},
	"two lives": {Numbers: 3, Links: 3, Cuts: 1, Crashes: 1, Births: 1},
	"restore":   {Numbers: 2, Links: 2, Cuts: 1, Restores: 1, Births: 1},
	"expiry":    {Numbers: 3, Links: 2, Cuts: 1, Expiries: 1, Births: 1},
	"shed":      {Numbers: 3, Links: 3, Cuts: 2, Crashes: 1, Sheds: 1, Gives: 1, Resends: 1},
}

func TestEveryState(t *testing.T) {
	all := bounds
	if os.Getenv("EYRIE_MODEL") == "wide" {
		all = wide
	}
	for name, b := range all {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			f := Explore(b, Rules{}, 8_000_000)
			t.Logf("%+v: %d states, %v", b, f.States, time.Since(begin).Round(time.Millisecond))
			if f.Err != nil {
				t.Error(f)
			}
		})
	}
}

// Each rule is taken away in turn: a property must break, or the rule is not
// needed, or the properties do not see it.
func TestEachRuleIsNeeded(t *testing.T) {
	for name, c := range map[string]struct {
		r      Rules
		bounds string
		breaks error
	}{
		"acks wait for the sync":                   {Rules{AckBeforeSync: true}, "shed", errSilent},
		"the welcome waits for the fence's sync":   {Rules{WelcomeBeforeSync: true}, "restore", errSilent},
		"a former link's data is dropped":          {Rules{NoFence: true}, "restore", errFenced},
		"a lower epoch is refused":                 {Rules{NoEpochOrder: true}, "restore", errSentAway},
		"a life's later hello stands":              {Rules{NoHelloOrder: true}, "shed", errSentAway},
		"a settled number is not stored again":     {Rules{NoDuplicates: true}, "cuts", errTwice},
		"a number beyond next is not stored":       {Rules{NoGaps: true}, "cuts", errFate},
		"content is compared":                      {Rules{NoContent: true}, "expiry", errSilent},
		"an event is not what was shed or refused": {Rules{NoContentless: true}, "one link", errSilent},
		"what first leaves out is recorded":        {Rules{FirstSkips: true}, "restore", errFate},
		"first moves next":                         {Rules{FirstIgnored: true}, "restore", errStuck},
		"an ack never goes beyond next":            {Rules{AckOfFrame: true}, "cuts", errSilent},
		"an ack never goes beyond its frame":       {Rules{AckOfNext: true}, "expiry", errSilent},
		"what is shed is recorded":                 {Rules{ShedUnrecorded: true}, "shed", errFate},
		"lost takes what is not settled":           {Rules{LostOverwrites: true}, "given up", errTwice},
		"a restore begins an epoch":                {Rules{SameEpoch: true}, "restore", errSilent},
		"next is not trusted in another epoch":     {Rules{TrustNext: true}, "expiry", errSilent},
		"nor after a long silence":                 {Rules{TrustLong: true}, "expiry", errSilent},
		"nor by the next welcome":                  {Rules{TrustSecond: true}, "expiry", errSilent},
		"an event is held until its ack":           {Rules{ForgetOnSend: true}, "shed", errSilent},
		"numbers begin at next":                    {Rules{NumberFromOne: true}, "two lives", errSilent},
		"a producer with a link does not expire":   {Rules{ExpireLinked: true}, "expiry", nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := Explore(bounds[c.bounds], c.r, 1_000_000)
			if f.Trace == nil || c.breaks != nil && !errors.Is(f.Err, c.breaks) {
				t.Errorf("wants %v, found %v", c.breaks, f)
			} else if testing.Verbose() {
				t.Log(f)
			}
		})
	}
}
