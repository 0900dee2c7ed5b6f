// Package tailfile follows files of lines below one folder while they grow, appear, are renamed, truncated,
// rewritten or rotated. A file is known by its beginning and by the bytes before the place where reading
// stopped, never by its path alone, so a Mark survives restarts and moves. Files: tree.go finds them,
// file.go reads them, mark.go is what survives, notify.go waits for changes (fsnotify, else polling).
// It leaves the meaning of a line to its caller. A Tree is for one goroutine.
package tailfile
