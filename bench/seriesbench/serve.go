package seriesbench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// background is the context of a child, which lives until its input ends.
var background = context.Background()

// Serve is the life of a child with eyrie's own store: it obeys orders until in
// ends.
func Serve(in io.Reader, out io.Writer, cpu func() time.Duration) error {
	dec, enc := json.NewDecoder(bufio.NewReader(in)), json.NewEncoder(out)
	var o *own
	defer func() {
		if o != nil && o.store != nil {
			_ = o.store.Close()
		}
	}()
	for {
		var r order
		if err := dec.Decode(&r); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		a, err := obey(&o, &r, cpu)
		if err != nil {
			a.Error = err.Error()
		}
		if err := enc.Encode(a); err != nil {
			return err
		}
	}
}

func obey(at **own, r *order, cpu func() time.Duration) (a answer, err error) {
	o := *at
	if o == nil && r.Do != "open" {
		return a, errors.New("nothing is open")
	}
	switch r.Do {
	case "open":
		var d *Data
		if d, err = Read(r.Data); err == nil {
			*at, err = openOwn(r.Dir, d)
		}
	case "append":
		if r.From < 0 || r.To > o.data.Steps {
			return a, fmt.Errorf("steps %d to %d of %d", r.From, r.To, o.data.Steps)
		}
		a.Took, err = o.append(r.From, r.To)
	case "cpu":
		a.CPU = cpu()
	case "memory":
		a.Memory, err = o.memory()
	case "flush":
		a.Disk, err = o.flush()
	case "query":
		began := time.Now()
		for i := range r.N {
			if a.Found, err = o.query(r.Query, (r.Host+i)%max(r.Hosts, 1)); err != nil {
				return a, err
			}
		}
		a.Found.Took = time.Since(began)
	default:
		err = fmt.Errorf("no order %q", r.Do)
	}
	return a, err
}
