//go:build linux

package sim

import (
	"flag"
	"os"
	"strconv"
	"testing"
	"time"
)

var seedFlag = flag.Int64("seed", -1, "replay this seed and show what happens")

// TestReplay runs one seed: go test ./appliance/sim -run TestReplay -v -seed N.
func TestReplay(t *testing.T) {
	if *seedFlag < 0 {
		t.Skip("no -seed")
	}
	cfg := Config{Seed: uint64(*seedFlag), Views: *seedFlag%4 == 0, Log: func(at time.Duration, what string) { t.Logf("%12v %s", at, what) }}
	res, err := Run(cfg)
	t.Logf("%+v", res)
	if err != nil {
		t.Error(err)
	}
}

// TestSimulation runs seeds for EYRIE_SIM_SECONDS, 5 unless told, 10 at most with -short. A failure
// names its seed.
func TestSimulation(t *testing.T) {
	seconds := 5
	if s := os.Getenv("EYRIE_SIM_SECONDS"); s != "" {
		var err error
		if seconds, err = strconv.Atoi(s); err != nil {
			t.Fatal("EYRIE_SIM_SECONDS: ", err)
		}
	}
	first := uint64(0)
	if testing.Short() {
		seconds = min(seconds, 10)
	}
	if s := os.Getenv("EYRIE_SIM_SEED"); s != "" {
		first, _ = strconv.ParseUint(s, 10, 64)
	}
	var all Result
	seed := first
	for end := time.Now().Add(time.Duration(seconds) * time.Second); time.Now().Before(end); seed++ {
		res, err := Run(Config{Seed: seed, Views: seed%4 == 0, Seal: seed%3 == 0})
		if err != nil {
			t.Fatalf("%v\nreplay: go test ./appliance/sim -run TestReplay -v -seed %d", err, seed)
		}
		all.Steps += res.Steps
		all.Sealed += res.Sealed
		all.Virtual += res.Virtual
		all.Crashes += res.Crashes
		all.Cuts += res.Cuts
		all.DiskErrors += res.DiskErrors
		all.Jumps += res.Jumps
		all.Restarts += res.Restarts
		all.Made += res.Made
		all.Stored += res.Stored
		all.Refused += res.Refused
		all.Shed += res.Shed
		all.Lost += res.Lost
		all.Forgotten += res.Forgotten
	}
	if seed > first+3 && all.Sealed <= seed-first {
		t.Error("no log was sealed: the runs are too short")
	}
	t.Logf("%d seeds from %d: %+v", seed-first, first, all)
}

// Two runs of one seed take the same course, step by step.
func TestOneSeedOneCourse(t *testing.T) {
	seeds, chaos := uint64(4), 6*time.Second
	if os.Getenv("EYRIE_SIM_SECONDS") != "" && !testing.Short() {
		seeds, chaos = 20, 20*time.Second
	}
	for seed := range seeds {
		a, errA := Run(Config{Seed: seed, Chaos: chaos})
		b, errB := Run(Config{Seed: seed, Chaos: chaos})
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if a != b {
			t.Errorf("seed %d:\n%+v\n%+v", seed, a, b)
		}
	}
}

// Each fault of ours is found within a few seeds.
func TestPlantsAreFound(t *testing.T) {
	for name, plant := range map[string]Plant{
		"no sync": NoSync, "ack before sync": AckBeforeSync, "forget on send": ForgetOnSend, "no fence": NoFence, "renumber at once": RenumberAtOnce,
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(30) {
				if _, err := Run(Config{Seed: seed, Plant: plant, Chaos: 6 * time.Second}); err != nil {
					t.Logf("after %d seeds: %.300v", seed+1, err)
					return
				}
			}
			t.Error("30 seeds stay green")
		})
	}
}
