//go:build linux

package engine

import "errors"

var (
	// ErrBacklog is returned by Socket.Send when the peer reads too slowly: the
	// message would exceed Config.SocketBacklog bytes not yet taken by the kernel.
	ErrBacklog = errors.New("engine: socket backlog is full")
	// ErrClosed is returned by Socket.Send after the socket was closed.
	ErrClosed = errors.New("engine: socket is closed")
	// ErrItem is returned by DecodeItem and DecodeHello for bytes that no engine wrote.
	ErrItem = errors.New("engine: malformed item")
)
