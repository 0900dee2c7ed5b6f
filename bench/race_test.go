//go:build race

package bench

// raceEnabled tells whether the detector of races is in these tests.
const raceEnabled = true
