package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"eyrie/appliance/access"
	"eyrie/appliance/intake"
	"eyrie/appliance/views/live"
	"eyrie/engine"
	"eyrie/engine/wire"
	"eyrie/wal"
	"eyrie/wal/blob"

	"github.com/VictoriaMetrics/metrics"
	"github.com/valyala/fasthttp"
)

// Parts is what the API serves from. All fields are needed.
type Parts struct {
	Log     *wal.Log
	Views   func() *Views // nil until they are loaded
	Hub     *live.Hub
	Intake  *intake.Intake
	Keys    *access.Keys
	Blobs   *blob.Store
	Engine  *engine.Server
	UI      fs.FS
	Metrics []*metrics.Set
	Logger  *slog.Logger
	Now     func() time.Time
	Rand    io.Reader
	// Host says what only the node knows; see Host.
	Host Host
	// Processors is how many searches of the log compute at once; 0: GOMAXPROCS.
	Processors int
}

// Host is what the node tells about itself.
type Host interface {
	// Ready reports whether everything works, and if not, why.
	Ready() (bool, []string)
	// Accepts reports whether events are taken, and if not, why.
	Accepts() (bool, []string)
	// Loading tells how far the views are; nil once they are there.
	Loading() *Loading
	// Status returns the node's own part of /v1/status.
	Status() NodeStatus
	// Settings returns the configuration in force, with origins.
	Settings() any
	// Tuning returns what was chosen for this host, and why.
	Tuning() []Decision
	// StartBackup begins a backup that the holder of key by asked for from
	// remote; wal.ErrBackupRunning where one is being made.
	StartBackup(ask BackupAsk, by, remote string) error
	// BackupState tells how far the last one is.
	BackupState() any
	// StartCompact begins a compaction; ErrCompactRunning while one is under way.
	StartCompact() error
	// CompactState tells how far the last one is.
	CompactState() any
	// StartForget begins to forget what the holder of key by asked for from
	// remote, and returns how far that is.
	StartForget(ctx context.Context, ask ForgetAsk, by, remote string) (any, error)
	// Forgets tells what was forgotten and what is to be, newest first.
	// reads tells of a space that who asks may read it.
	Forgets(reads func(space string) bool) any
	// StartVerify begins to verify log and views, as the holder of key by asked
	// for from remote; wal.ErrVerifyRunning while that is under way.
	StartVerify(by, remote string) error
	// VerifyState tells how far that is, and what was found.
	VerifyState() any
	// Capacity tells what this host has, what runs on it and what that costs.
	Capacity() Capacity
}

// NodeStatus is the node's own part of /v1/status.
type NodeStatus struct {
	Started   time.Time
	Hostname  string
	Listeners []Listener
	DiskFree  uint64 // bytes that the data folder's file system has left
}

// Listener is one address that is listened on.
type Listener struct {
	Name  string   `json:"name"`
	Addr  string   `json:"addr"`
	Roles []string `json:"roles"`
}

// Tags of the listeners, as the engine passes them on.
const (
	ListenerIngest = access.ListenerIngest
	ListenerWeb    = access.ListenerWeb
)

// Server answers HTTP requests on connections that the loops hand over.
type Server struct {
	p      Parts
	routes []route
	files  *files
	http   *fasthttp.Server
	conns  *handover
	blobs  *blobTraffic
	turns  chan struct{} // pieces of the log that are searched at once
	done   chan struct{}
}

// Limits of HTTP.
const (
	bodyBytesMax   = 4 << 20
	headerBytesMax = 16 << 10
	connsMax       = 4096 + 256 // more than the engine hands over: those it closed take a moment to leave
)

// New returns a server that is not yet running.
func New(p Parts) (*Server, error) {
	if p.Processors == 0 {
		p.Processors = runtime.GOMAXPROCS(0)
	}
	s := &Server{p: p, conns: newHandover(), blobs: newBlobTraffic(), turns: make(chan struct{}, p.Processors), done: make(chan struct{})}
	f, err := loadFiles(p.UI)
	if err != nil {
		return nil, err
	}
	s.files = f
	s.routes = s.table()
	s.http = &fasthttp.Server{
		Handler:               s.guarded,
		ErrorHandler:          s.badRequest,
		HeaderReceived:        s.admit,
		Name:                  "eyrie",
		ReadTimeout:           10 * time.Second,
		WriteTimeout:          60 * time.Second,
		IdleTimeout:           60 * time.Second,
		MaxRequestBodySize:    bodyBytesMax,
		ReadBufferSize:        headerBytesMax,
		Concurrency:           connsMax,
		NoDefaultContentType:  true,
		NoDefaultDate:         true,
		CloseOnShutdown:       true,
		SecureErrorLogMessage: true,
		Logger:                quiet{p.Logger},
	}
	return s, nil
}

// guarded answers a request. A handler that panics costs its caller an answer,
// not the node its life.
func (s *Server) guarded(ctx *fasthttp.RequestCtx) {
	defer func() {
		s.blobs.leave(&ctx.Request.Header)
		if v := recover(); v != nil {
			s.p.Logger.Error("a request's handler panicked", "method", string(ctx.Method()), "path", string(ctx.Path()), "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			ctx.Response.Reset()
			p, _ := asProblem(errPanicked)
			writeProblem(ctx, p)
			ctx.SetConnectionClose()
		}
	}()
	s.handle(ctx)
}

var errPanicked = errors.New("a handler panicked")

// Start serves until Shutdown.
func (s *Server) Start() {
	go func() {
		defer close(s.done)
		_ = s.http.Serve(s.conns)
	}()
}

// Handle takes over a connection that a loop accepted. It never blocks: when
// too many wait, the connection is closed.
func (s *Server) Handle(c net.Conn, listener int) { s.conns.offer(tagged{c, listener}) }

// Shutdown stops taking connections, lets requests under way finish and closes
// the rest when ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	s.conns.Close()
	err := s.http.ShutdownWithContext(ctx)
	s.conns.closeAll()
	<-s.done
	return err
}

// quiet writes fasthttp's own complaints, which a peer can cause at will, as
// debug messages.
type quiet struct{ l *slog.Logger }

func (q quiet) Printf(format string, args ...any) {
	q.l.Debug("http", "msg", fmt.Sprintf(format, args...))
}

// tagged is a connection with the tag of its listener.
type tagged struct {
	net.Conn
	listener int
}

// handover is a net.Listener whose connections come from the loops.
type handover struct {
	ch   chan tagged
	once sync.Once
	stop chan struct{}

	mu   sync.Mutex
	open map[*tracked]struct{}
}

func newHandover() *handover {
	return &handover{ch: make(chan tagged, 256), stop: make(chan struct{}), open: make(map[*tracked]struct{})}
}

func (h *handover) offer(c tagged) {
	select {
	case <-h.stop:
	default:
		select {
		case h.ch <- c:
			return
		default:
		}
	}
	c.Close()
}

// Accept implements net.Listener.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case <-h.stop:
		return nil, io.EOF
	default:
	}
	select {
	case c := <-h.ch:
		t := &tracked{tagged: c, in: h}
		h.mu.Lock()
		h.open[t] = struct{}{}
		h.mu.Unlock()
		return t, nil
	case <-h.stop:
		return nil, io.EOF
	}
}

// Close implements net.Listener.
func (h *handover) Close() error {
	h.once.Do(func() { close(h.stop) })
	return nil
}

// Addr implements net.Listener.
func (h *handover) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func (h *handover) closeAll() {
	for {
		select {
		case c := <-h.ch:
			c.Close()
			continue
		default:
		}
		break
	}
	h.mu.Lock()
	open := make([]*tracked, 0, len(h.open))
	for t := range h.open {
		open = append(open, t)
	}
	h.mu.Unlock()
	for _, t := range open {
		t.cut()
	}
}

// tracked is a connection in the set of open ones.
type tracked struct {
	tagged
	in     *handover
	linger atomic.Bool // the peer may still be sending what nobody will read
}

// Bounds of reading on from a peer whose request was refused halfway.
const (
	lingerTime  = 2 * time.Second
	lingerBytes = 2 * wire.MaxBlob
)

// linger makes the connection's end wait for the peer to have read the answer:
// to close on bytes unread is a reset, and takes the answer with it.
func linger(ctx *fasthttp.RequestCtx) {
	if t, ok := ctx.Conn().(*tracked); ok {
		t.linger.Store(true)
	}
}

// Close closes the connection and forgets it.
func (t *tracked) Close() error {
	if w, ok := t.Conn.(interface{ CloseWrite() error }); ok && t.linger.Load() && w.CloseWrite() == nil {
		_ = t.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.CopyN(io.Discard, t.Conn, lingerBytes)
	}
	return t.cut()
}

// cut is Close without a wait.
func (t *tracked) cut() error {
	t.in.mu.Lock()
	delete(t.in.open, t)
	t.in.mu.Unlock()
	return t.Conn.Close()
}
