package watch

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"

	"eyrie/appliance/sources"
	"eyrie/engine/wire"
)

const lineBytesMax = 4 << 10

// lines passes one output stream on and makes log events of its lines. Safe for concurrent use; what is passed on is
// written by the one goroutine that copies the program's output.
type lines struct {
	w      *watcher
	stream string
	to     io.Writer

	mu      sync.Mutex
	line    []byte
	cut     int // bytes of the line that are not in line
	tokens  float64
	filled  time.Time
	dropped int // lines not sent since the last that was

	n     int64
	bytes int64
}

func newLines(w *watcher, stream string, to io.Writer) *lines {
	if to == nil {
		to = io.Discard
	}
	return &lines{w: w, stream: stream, to: to, tokens: float64(w.o.LinesBurst), filled: w.o.Now()}
}

// Write passes p on first: the program is not held up by what is made of it.
func (l *lines) Write(p []byte) (int, error) {
	n, err := l.to.Write(p)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes += int64(len(p))
	l.n += int64(bytes.Count(p, []byte{'\n'}))
	for rest := p; len(rest) > 0; {
		i := bytes.IndexByte(rest, '\n')
		part := rest
		if i >= 0 {
			part = rest[:i]
		}
		keep := min(len(part), lineBytesMax-len(l.line))
		l.line = append(l.line, part[:keep]...)
		l.cut += len(part) - keep
		if i < 0 {
			break
		}
		l.end()
		rest = rest[i+1:]
	}
	return n, err
}

// finish takes a last line without an end and says what was dropped.
func (l *lines) finish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.line) > 0 {
		l.end()
	}
	l.missing()
}

func (l *lines) end() {
	line, cut := bytes.TrimSuffix(l.line, []byte{'\r'}), l.cut
	l.line, l.cut = l.line[:0], 0
	if len(line) == 0 || l.w.o.Content == sources.ContentMeta {
		return // the counters tell
	}
	now := l.w.o.Now()
	l.tokens = min(float64(l.w.o.LinesBurst), l.tokens+now.Sub(l.filled).Seconds()*l.w.o.LinesPerS)
	l.filled = now
	if l.tokens < 1 {
		l.dropped++
		return
	}
	l.tokens--
	l.missing()
	e := l.w.event(wire.TypeLog)
	e.Kind, e.Msg, e.Parent = l.stream, sources.Cut(string(line), lineBytesMax), l.w.run
	if cut > 0 {
		e.Msg += fmt.Sprintf("…[%d bytes cut]", cut)
	}
	if !l.w.send.offer(e) {
		l.dropped++
	}
}

// missing says how many lines were not sent.
func (l *lines) missing() {
	if l.dropped == 0 {
		return
	}
	e := l.w.event(wire.TypeLog)
	e.Severity, e.Kind, e.Parent, e.Name = wire.SeverityWarn, l.stream, l.w.run, "lines_dropped"
	e.Msg = fmt.Sprintf("%d lines of %s were not sent: too many at once", l.dropped, l.stream)
	e.Attrs = map[string]any{"lines": l.dropped}
	if l.w.send.offer(e) {
		l.dropped = 0
	}
}

func (l *lines) counts() (n, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n, l.bytes
}
