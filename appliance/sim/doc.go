// Package sim runs agents, their links, the engine's loops, rings, intake, log
// and views in one process on a clock, a network and a disk of its own, driven
// by one scheduler from a seed: delays, reorderings across links, cuts, peers
// that are half open or do not read, crashes that lose what was not synced,
// disk errors, clock jumps, agents that restart. A ledger of what agents were
// told is held against what the log holds. A failure replays from its seed.
//
// One goroutine calls Run; while the log's own work, it waits. world.go has the
// scheduler, net.go links, agent.go clients, site.go the server, disk.go the
// disk, ledger.go what must hold. Linux only, as the engine is.
package sim
