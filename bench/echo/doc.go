// Package echo serves WebSockets on exactly the appliance's netpoll and engine,
// without key, log or views, for conformance suites and comparisons with other
// servers. /echo sends each message back with its opcode; /sink publishes each
// into its loop's ring, where one goroutine drops it. Loopback only.
package echo
