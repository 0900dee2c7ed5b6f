// Package logbench feeds the log, a bare segment file, Redis and PostgreSQL the
// same events, and tells what each of them used. `eyrie bench log` compares them.
//
// pool.go and source.go make events; feeder.go feeds a log as intake does,
// segment.go is the bare file, redis.go and postgres.go start a server and are
// its client; stages.go counts what the log writes by kind of file; serve.go is
// the child process that a measurement of our own code runs in. Nothing here may
// be called by two goroutines at once.
package logbench
