// Package sources holds what the clients that need no change to the agent share: where their events go
// (Sink), how much content may leave the machine (Content), how a long text is cut (Cut) and how a producer
// keeps its identity over restarts (Producer). The sources themselves are the packages below: claudecode
// follows transcripts, watch runs a program, recorded replays recorded runs, tailfile reads growing files.
// None of them opens a connection: the caller passes a Sink. Builds for every OS.
package sources
