// Command prometheus is Prometheus' tsdb for a comparison, in a process of its
// own that obeys orders of JSON on standard input, one line each, and answers on
// standard output. It is a module of its own so that eyrie's stays free of these
// dependencies; `eyrie bench series` builds it.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// order and answer are what package seriesbench has under the same names.
type order struct {
	Do    string `json:"do"`
	Dir   string `json:"dir"`
	Data  string `json:"data"`
	From  int    `json:"from"`
	To    int    `json:"to"`
	Query string `json:"query"`
	Host  int    `json:"host"`
	N     int    `json:"n"`
	Hosts int    `json:"hosts"`
}

type answer struct {
	Error  string        `json:"error,omitempty"`
	Took   time.Duration `json:"took"`
	CPU    time.Duration `json:"cpu"`
	Memory uint64        `json:"memory"`
	Disk   disk          `json:"disk"`
	Found  found         `json:"found"`
}

type disk struct {
	Bytes uint64 `json:"bytes"`
	WAL   uint64 `json:"wal"`
}

type found struct {
	Took  time.Duration `json:"took"`
	Count int           `json:"count"`
	Sum   float64       `json:"sum"`
}

func main() {
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(in io.Reader, out io.Writer) error {
	dec, enc := json.NewDecoder(bufio.NewReader(in)), json.NewEncoder(out)
	var s *store
	for {
		var r order
		if err := dec.Decode(&r); errors.Is(err, io.EOF) {
			if s != nil {
				return s.db.Close()
			}
			return nil
		} else if err != nil {
			return err
		}
		a, err := obey(&s, &r)
		if err != nil {
			a.Error = err.Error()
		}
		if err := enc.Encode(a); err != nil {
			return err
		}
	}
}

func obey(at **store, r *order) (a answer, err error) {
	s := *at
	if s == nil && r.Do != "open" {
		return a, errors.New("nothing is open")
	}
	switch r.Do {
	case "open":
		*at, err = open(r.Dir, r.Data)
	case "append":
		a.Took, err = s.append(r.From, r.To)
	case "cpu":
		var u syscall.Rusage
		err = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		a.CPU = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	case "memory":
		n := live()
		a.Memory = n - min(n, s.empty)
	case "flush":
		a.Disk, err = s.flush()
	case "query":
		began := time.Now()
		for i := range r.N {
			if a.Found, err = s.query(r.Query, (r.Host+i)%max(r.Hosts, 1)); err != nil {
				return a, err
			}
		}
		a.Found.Took = time.Since(began)
	default:
		err = fmt.Errorf("no order %q", r.Do)
	}
	return a, err
}
