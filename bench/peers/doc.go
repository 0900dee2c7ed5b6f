// Package peers holds what a comparison of WebSocket servers needs beside the
// servers: workloads, a load client of one thread, a bare Go loop and a bare C
// loop to hold servers against, processes pinned to a core, and the statistics
// of ratios. Peers that come as Go modules are adapted in the module adapters,
// apart from eyrie's own. Linux.
package peers
