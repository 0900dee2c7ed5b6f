//go:build !linux

package netpoll

// Poll needs epoll; here there is none to be had.
type Poll struct{}

// Loop needs epoll; here there is none to be had.
type Loop struct{}

// New returns ErrUnsupported.
func New(cfg Config, _ NewHandler) (*Poll, error) {
	if _, err := cfg.withDefaults(); err != nil {
		return nil, err
	}
	return nil, ErrUnsupported
}
