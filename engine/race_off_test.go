//go:build linux && !race

package engine

const raceOn = false
