// Package conform holds a WebSocket client that provokes every rule of RFC 6455
// and RFC 7692, and the table of its cases. All of it is test code, run against
// a server on exactly the appliance's loops and engine (bench/echo). The groups
// are numbered as is customary: 1 framing, 2 pings and pongs, 3 reserved bits,
// 4 opcodes, 5 fragments, 6 UTF-8, 7 close, 9 large messages, 10 messages in
// many frames, 12 and 13 compression.
package conform
