// Package blob keeps values that are too large for an event, each once in a
// space, named by the SHA-256 of its content, as files beside the log.
//
// A blob that Put has answered for survives a power cut; one that is damaged is
// never handed out. Who names a blob, and so how long it is kept, is not known
// here: package views/blobs counts, and calls Drop. A Store may be used from
// any goroutine; one process has a folder open at a time, which the log's lock
// sees to. format.go draws a file, store.go the folder.
package blob
