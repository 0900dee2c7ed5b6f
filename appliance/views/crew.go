package views

import "sync"

// crew applies and saves on goroutines that live as long as the runner, one a
// fold, so that Options.Background does what it does to a thread once and not
// for every block. do and end belong to the runner's goroutine.
type crew struct {
	tasks   []chan func()
	running sync.WaitGroup
}

func newCrew(n int, begin func()) *crew {
	c := &crew{tasks: make([]chan func(), n)}
	for i := range c.tasks {
		c.tasks[i] = make(chan func())
		c.running.Go(func() {
			begin()
			for fn := range c.tasks[i] {
				fn()
			}
		})
	}
	return c
}

// do hands fn to worker i, which must be idle.
func (c *crew) do(i int, done *sync.WaitGroup, fn func()) {
	done.Add(1)
	c.tasks[i] <- func() {
		defer done.Done()
		fn()
	}
}

// end lets the workers go.
func (c *crew) end() {
	for _, t := range c.tasks {
		close(t)
	}
	c.running.Wait()
}
