// Package links is one epoll loop on one thread that holds many WebSocket connections
// as their client: so it costs little beside the server that is measured. It connects,
// upgrades, cuts messages out of what it reads, answers pings and writes what the
// kernel takes; what is said is its Handler's, as package load's and package viewer's.
//
// link_linux.go is one connection, loop_linux.go the loop, serve_linux.go the life of
// a child process that is such a loop. Everything but Loop.Post belongs to the loop's
// thread.
package links
