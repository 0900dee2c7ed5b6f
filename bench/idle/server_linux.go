package idle

import (
	"context"
	"encoding/json"
	"io"
	"runtime"
	"time"

	"eyrie/bench/child"
	"eyrie/engine"
	"eyrie/engine/wire"
	"eyrie/netpoll"
	"eyrie/netpoll/tables"
)

// ServeServer is the server process' life; it ends with in.
func ServeServer(in io.Reader, out io.Writer) error {
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	var job ServerJob
	if err := dec.Decode(&job); err != nil {
		return err
	}
	err := serve(job, dec, enc)
	if err != nil {
		_ = enc.Encode(ServerSays{Error: err.Error()})
	}
	return err
}

func serve(job ServerJob, dec *json.Decoder, enc *json.Encoder) error {
	child.RaiseDescriptors()
	set, err := tables.Open(job.Loops)
	if err != nil {
		return err
	}
	defer set.Close()
	bell := make(chan struct{}, 1)
	srv, err := engine.New(engine.Config{
		Poll: netpoll.Config{Tables: set, ReadBuffer: 64 << 10},
		Gate: engine.GateFunc(func(*engine.Request) (engine.Grant, *engine.Refusal) {
			return engine.Grant{Space: "bench", Owner: "idle"}, nil
		}),
		RingBytes: 4 << 20,
		Notify: func() {
			select {
			case bell <- struct{}{}:
			default:
			}
		},
		// Idle is what is measured: nobody is asked whether he lives.
		Ping: 24 * time.Hour, Idle: 48 * time.Hour, HandshakeTimeout: time.Minute,
	})
	if err != nil {
		return err
	}
	at, err := srv.Listen("127.0.0.1:0", 0)
	if err != nil {
		return err
	}
	srv.Start()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		answer(srv, bell, stop)
	}()
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = srv.Shutdown(ctx)
		close(stop)
		<-done
	}()
	if err := enc.Encode(ServerSays{Addr: at.String()}); err != nil {
		return err
	}
	for {
		var any json.RawMessage
		if err := dec.Decode(&any); err != nil {
			return nil // the parent is done
		}
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if err := enc.Encode(ServerSays{Look: Look{Conns: srv.Conns(), Heap: m.HeapAlloc, Stack: m.StackInuse}}); err != nil {
			return err
		}
	}
}

// answer is the other end of the rings: it welcomes who says hello and
// acknowledges what comes.
func answer(srv *engine.Server, bell, stop chan struct{}) {
	rings := srv.Rings()
	var it engine.Item
	var rs []engine.Reply
	for {
		rs = rs[:0]
		for i, r := range rings {
			n := 0
			for rec, ok := r.Next(); ok; rec, ok = r.Next() {
				n++
				if err := engine.DecodeItem(rec, &it); err != nil {
					panic("idle: the ring holds what the engine never wrote: " + err.Error())
				}
				switch it.Kind {
				case engine.ItemHello:
					rs = append(rs, engine.Reply{Link: it.Link, Kind: engine.ReplyWelcome, Welcome: &wire.Welcome{Next: 1}})
				case engine.ItemFrameEnd:
					rs = append(rs, engine.Reply{Link: it.Link, Kind: engine.ReplyAck, To: it.Seq})
				}
			}
			if n > 0 {
				r.Release()
				srv.Freed(i)
			}
		}
		if len(rs) > 0 {
			srv.Reply(rs)
			continue
		}
		select {
		case <-bell:
		case <-stop:
			return
		}
	}
}
