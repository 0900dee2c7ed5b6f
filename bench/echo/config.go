package echo

import (
	"fmt"
	"net"
	"net/netip"
)

// LoopsMax is the most loops.
const LoopsMax = 256

// Config says how to serve.
type Config struct {
	Listen string // host:port of a loopback address; port 0 for any
	Loops  int    // 0: one for each processor
	// Deflate agrees to permessage-deflate on /echo.
	Deflate bool
}

// loopback returns addr with its host resolved, or an error if that is not this
// machine alone: the server asks for no key.
func loopback(addr string) (string, error) {
	ta, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return "", fmt.Errorf("listen address: %w", err)
	}
	ap := ta.AddrPort()
	ip := ap.Addr().Unmap()
	if !ip.IsLoopback() {
		return "", fmt.Errorf("listen address %s: not a loopback address, and this server asks for no key", addr)
	}
	return netip.AddrPortFrom(ip, ap.Port()).String(), nil
}
