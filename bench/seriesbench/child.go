package seriesbench

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"eyrie/bench/child"
)

// Child is a store in a process that answers orders: eyrie's own, or an adapter.
type Child struct {
	p     *child.Process
	hosts int
}

// StartChild starts cmd and has it open a store in dir for the data in a file, of
// so many hosts. The process ends with Close.
func StartChild(cmd *exec.Cmd, dir, data string, hosts int) (*Child, error) {
	p, err := child.Start(cmd)
	if err != nil {
		return nil, err
	}
	c := &Child{p: p, hosts: hosts}
	if _, err := c.do(order{Do: "open", Dir: dir, Data: data}); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Child) do(o order) (a answer, err error) {
	if err := c.p.Ask(o, &a); err != nil {
		return a, fmt.Errorf("%s: the store's process: %w", o.Do, err)
	}
	if a.Error != "" {
		return a, fmt.Errorf("%s: %w", o.Do, errors.New(a.Error))
	}
	return a, nil
}

// Append implements Store.
func (c *Child) Append(_ context.Context, from, to int) (time.Duration, error) {
	a, err := c.do(order{Do: "append", From: from, To: to})
	return a.Took, err
}

// CPU implements Store.
func (c *Child) CPU() (time.Duration, error) {
	a, err := c.do(order{Do: "cpu"})
	return a.CPU, err
}

// Memory implements Store.
func (c *Child) Memory() (uint64, error) {
	a, err := c.do(order{Do: "memory"})
	return a.Memory, err
}

// Flush implements Store.
func (c *Child) Flush(context.Context) (Disk, error) {
	a, err := c.do(order{Do: "flush"})
	return a.Disk, err
}

// Query implements Store.
func (c *Child) Query(_ context.Context, q Query, host, n int) (Answer, error) {
	a, err := c.do(order{Do: "query", Query: q, Host: host, N: n, Hosts: c.hosts})
	return a.Found, err
}

// Close implements Store.
func (c *Child) Close() { c.p.End(30 * time.Second) }
