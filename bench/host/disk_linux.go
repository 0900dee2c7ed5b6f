package host

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// DiskWritten returns how many bytes the disk that dir is on has written so far,
// by its own count, whoever caused them, after all that is pending is written.
// What the kernel charges to a process is more than that: it charges a large
// page as a whole where part of it is written. It is an error where dir is on no disk.
func DiskWritten(dir string) (uint64, error) {
	f, err := os.Open(dir)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return 0, fmt.Errorf("sync %s: %w", dir, err)
	}
	_, bytes, err := DiskWrites(dir)
	return bytes, err
}

// DiskWrites returns how many writes the disk that dir is on has completed so far,
// whoever caused them, and how many bytes they were. It is an error where dir is on
// no disk.
func DiskWrites(dir string) (writes, bytes uint64, err error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return 0, 0, fmt.Errorf("stat %s: %w", dir, err)
	}
	b, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/stat", unix.Major(st.Dev), unix.Minor(st.Dev)))
	if err != nil {
		return 0, 0, err
	}
	fields := strings.Fields(string(b))
	if len(fields) < 7 {
		return 0, 0, fmt.Errorf("the counts of the disk below %s are %q", dir, b)
	}
	return number(fields[4]), number(fields[6]) * 512, nil
}
