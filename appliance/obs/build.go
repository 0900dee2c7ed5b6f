package obs

import (
	"runtime"
	"runtime/debug"
)

// Version and Commit are set by the linker (see the Makefile). A build that
// sets neither reports what the Go toolchain recorded.
var (
	Version = "dev"
	Commit  = ""
)

// Build is the stamp of this binary.
type Build struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// Stamp returns the build stamp of the running binary.
func Stamp() Build {
	b := Build{Version: Version, Commit: Commit, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if b.Commit == "" {
		if info, ok := debug.ReadBuildInfo(); ok {
			for _, s := range info.Settings {
				if s.Key == "vcs.revision" {
					b.Commit = s.Value
				}
			}
		}
	}
	return b
}
