package views

import "errors"

// ErrClosed is returned by WaitFor when the runner is closed first.
var ErrClosed = errors.New("views: closed")

// ErrHalted is returned (wrapped, naming the fold) by WaitFor when a fold was
// stopped because it failed on too many records.
var ErrHalted = errors.New("views: fold halted")

// errCorrupt marks a cursor row that is damaged: the fold is rebuilt.
var errCorrupt = errors.New("views: corrupt cursor")
