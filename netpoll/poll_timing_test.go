//go:build linux

package netpoll

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkEcho sends messages of 128 B, some in flight at a time, over one
// connection. server-ns/msg is CPU of the loop's thread.
func BenchmarkEcho(b *testing.B) {
	for _, flight := range []int{1, 32, 1024} {
		b.Run(fmt.Sprintf("flight=%d", flight), func(b *testing.B) {
			p, addr := serve(b, Config{}, nil)
			l := p.Loops()[0]
			fd := rawDial(b, addr)
			defer unix.Close(fd)
			out, in := make([]byte, 128*flight), make([]byte, 128*flight)
			ping := func() {
				writeAll(b, fd, out)
				for n := 0; n < len(in); {
					m, err := unix.Read(fd, in[n:])
					if m <= 0 {
						b.Fatal(m, err)
					}
					n += m
				}
			}
			ping()
			b.SetBytes(128)
			b.ReportAllocs()
			before := threadCPU(b, l)
			b.ResetTimer()
			for n := 0; n < b.N; n += flight {
				ping()
			}
			b.StopTimer()
			b.ReportMetric(float64(threadCPU(b, l)-before)/float64(b.N), "server-ns/msg")
		})
	}
}

// BenchmarkConnBytes reports the user memory of an idle connection.
func BenchmarkConnBytes(b *testing.B) {
	for b.Loop() {
		b.ReportMetric(connSlope(b, 2000, 8000), "B/conn")
	}
}

// threadCPU is the time the loop's thread has spent on a processor.
func threadCPU(t testing.TB, l *Loop) (d time.Duration) {
	on(t, l, func() {
		var ru unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_THREAD, &ru); err != nil {
			t.Error(err)
		}
		d = time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
	})
	return d
}
