package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// jobState is what every job of the server tells of itself; what else it tells
// lies beside it.
type jobState struct {
	State string `json:"state"` // running, done or failed
	Error string `json:"error"`
}

func (j *jobState) job() *jobState { return j }

// job has the server begin what path stands for, and asks how far it is until it
// is over, calling each time each, if that is set. st is filled by each answer.
// Where no server is named it is the one that holds the data folder.
func (s serverFlags) job(ctx context.Context, path string, ask any, st interface{ job() *jobState }, each func()) error {
	named := s.Server != ""
	s.Server = cmp.Or(s.Server, holder)
	if err := s.call(ctx, "operator", "POST", path, ask, st); err != nil {
		if !named && ctx.Err() == nil && exitCodeOf(err) == exitServer { // nobody is there, or another that does not know the folder's key
			err = exit(exitData, "%s: in use by a server, which is to be asked instead; name it with --server: %v", s.Data, err)
		}
		return err
	}
	for wait := 20 * time.Millisecond; st.job().State == "running"; wait = min(2*wait, time.Second) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("not waited for: the server goes on, GET %s tells of it", path)
		case <-time.After(wait):
		}
		if err := s.call(ctx, "operator", "GET", path, nil, st); err != nil {
			return err
		}
		if each != nil {
			each()
		}
	}
	if st.job().State != "done" {
		return errors.New(st.job().Error)
	}
	return nil
}

// holder is the server that holds the data folder, where none is named: at its
// default address. Tests have another.
var holder = "http://127.0.0.1:7600"
