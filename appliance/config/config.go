package config

import (
	"fmt"
	"net"
	"time"
)

// Config is the whole configuration of `eyrie serve`. The zero value is not
// usable; flags fill in the defaults named in the tags. The name of a key in
// the file is the name of its flag; its variable is EYRIE_ and the name in
// capitals, '-' written '_'.
type Config struct {
	Data   string `name:"data" yaml:"data" default:"./eyrie-data" placeholder:"DIR" help:"Folder of the log, the views and the keys."`
	Ingest string `name:"ingest" yaml:"ingest" default:"127.0.0.1:7600" placeholder:"ADDR" help:"Where agents connect (WebSocket, POST /v1/events)."`
	Web    string `name:"web" yaml:"web" default:"127.0.0.1:7680" placeholder:"ADDR" help:"Where people and programs connect (UI, API)."`

	ListenAll bool `name:"listen-all" yaml:"listen-all" help:"Listen on every address of this host, not on loopback alone."`

	Loops       int      `name:"loops" yaml:"loops" default:"0" placeholder:"N" help:"Event loops; 0 chooses by the number of cores."`
	Connections int      `name:"connections" yaml:"connections" default:"65000" placeholder:"N" help:"Connections to be ready for; --own-tables makes enough loops for them."`
	OwnTables   bool     `name:"own-tables" yaml:"own-tables" help:"Where the hard limit of descriptors is below --connections, give each loop a descriptor table of its own, so that the limit counts for each alone."`
	RingMiB     int      `name:"ring-mib" yaml:"ring-mib" default:"8" placeholder:"MIB" help:"Size of the ring between each loop and the log, in MiB (a power of two)."`
	CacheMiB    int      `name:"cache-mib" yaml:"cache-mib" default:"0" placeholder:"MIB" help:"Block cache of the two stores together, in MiB; 0 chooses by this host's memory."`
	Memory      int      `name:"memory-mib" yaml:"memory-mib" default:"0" placeholder:"MIB" help:"Soft limit of the Go heap, in MiB; 0 chooses 80 % of this host's or container's memory."`
	DiskMin     int      `name:"disk-min-mib" yaml:"disk-min-mib" default:"512" placeholder:"MIB" help:"Free disk below which writes are refused and agents told to hold, in MiB; below 512 what the stores have yet to write may still fill the disk."`
	Retain      Duration `name:"retain" yaml:"retain" default:"0s" placeholder:"TIME" help:"How long events, and the spans they make, are kept (720h is 30 days); 0s keeps them for ever. Whole stretches of the sealed log go; the newest part, some 150 MiB, always stays."`
	Budget      int      `name:"disk-budget-mib" yaml:"disk-budget-mib" default:"0" placeholder:"MIB" help:"What the sealed log, the blobs and the spans may take on disk, in MiB; 0 is without bound. Beyond it metrics and debug events go first, oldest first, then the others, errors and records about eyrie itself last."`
	Save        Duration `name:"save-every" yaml:"save-every" default:"20s" placeholder:"TIME" help:"How often views are made durable with their cursors; after a crash so much of the log is folded again."`

	IdleTimeout  Duration `name:"idle-timeout" yaml:"idle-timeout" default:"90s" placeholder:"TIME" help:"A link that sends nothing, not even a pong, for so long is closed."`
	Ping         Duration `name:"ping-every" yaml:"ping-every" default:"30s" placeholder:"TIME" help:"How often a quiet link is pinged."`
	AgentDeflate bool     `name:"agent-deflate" yaml:"agent-deflate" help:"Let agents send compressed messages (permessage-deflate) where they offer to: less traffic, more processor time."`
	Drain        Duration `name:"drain-timeout" yaml:"drain-timeout" default:"4s" placeholder:"TIME" help:"How long a stop may take to settle and close links."`

	SelfEvery  Duration `name:"self-every" yaml:"self-every" default:"5s" placeholder:"TIME" help:"How often eyrie reports itself and its host (space eyrie)."`
	AcceptLoss bool     `name:"accept-loss" yaml:"accept-loss" help:"Open a log that lost acknowledged events: name the range in a record and start a new epoch."`

	LogFormat string `name:"log-format" yaml:"log-format" default:"text" enum:"text,json" help:"Format of eyrie's own log on standard error: text or json."`
	LogLevel  string `name:"log-level" yaml:"log-level" default:"info" enum:"debug,info,warn,error" help:"Least severity that is written: debug, info, warn, error."`
}

// Duration is a time.Duration that is written as Go writes it (1m30s) in
// flags, variables and the file alike.
type Duration time.Duration

// UnmarshalText parses what time.ParseDuration accepts.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 1m30s", b)
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes d as Go does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String writes d as Go does.
func (d Duration) String() string { return time.Duration(d).String() }

// D returns d as a time.Duration.
func (d Duration) D() time.Duration { return time.Duration(d) }

// Check returns an error that names the first key whose value cannot work,
// with what was got and what was wanted.
func (c *Config) Check() error {
	for _, a := range []struct{ key, addr string }{{"ingest", c.Ingest}, {"web", c.Web}} {
		if _, _, err := net.SplitHostPort(a.addr); err != nil {
			return fmt.Errorf("%s: %q is not HOST:PORT", a.key, a.addr)
		}
	}
	if c.Data == "" {
		return fmt.Errorf("data: empty, want a folder")
	}
	for _, r := range []struct {
		key         string
		v, min, max int
	}{
		{"loops", c.Loops, 0, 128},
		{"connections", c.Connections, 1, 2_000_000},
		{"ring-mib", c.RingMiB, 4, 1024},
		{"cache-mib", c.CacheMiB, 0, 1 << 20},
		{"memory-mib", c.Memory, 0, 1 << 24},
		{"disk-min-mib", c.DiskMin, 1, 1 << 24}, // for 0 the log has a default of its own
	} {
		if r.v < r.min || r.v > r.max {
			return fmt.Errorf("%s: got %d, want %d to %d", r.key, r.v, r.min, r.max)
		}
	}
	if c.RingMiB&(c.RingMiB-1) != 0 {
		return fmt.Errorf("ring-mib: got %d, want a power of two", c.RingMiB)
	}
	for _, r := range []struct {
		key      string
		v        Duration
		min, max time.Duration
	}{
		{"save-every", c.Save, 100 * time.Millisecond, 10 * time.Minute},
		{"idle-timeout", c.IdleTimeout, time.Second, 24 * time.Hour},
		{"ping-every", c.Ping, time.Second, 24 * time.Hour},
		{"drain-timeout", c.Drain, 100 * time.Millisecond, 10 * time.Minute},
		{"self-every", c.SelfEvery, time.Second, time.Hour},
	} {
		if r.v.D() < r.min || r.v.D() > r.max {
			return fmt.Errorf("%s: got %v, want %v to %v", r.key, r.v, r.min, r.max)
		}
	}
	if c.Ping >= c.IdleTimeout {
		return fmt.Errorf("ping-every: got %v, want less than idle-timeout (%v)", c.Ping, c.IdleTimeout)
	}
	return nil
}

// Addresses returns the ingest and the web address as they are to be listened
// on: with ListenAll a loopback host becomes every address.
func (c *Config) Addresses() (ingest, web string) {
	return c.address(c.Ingest), c.address(c.Web)
}

func (c *Config) address(a string) string {
	if !c.ListenAll {
		return a
	}
	host, port, err := net.SplitHostPort(a)
	if err != nil {
		return a
	}
	if ip := net.ParseIP(host); host == "" || host == "localhost" || ip != nil && ip.IsLoopback() {
		return net.JoinHostPort("", port)
	}
	return a
}
