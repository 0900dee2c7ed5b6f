//go:build linux

package engine

import (
	"math/rand/v2"
	"testing"
)

// newRand is a generator whose failures replay: its seed is fixed.
func newRand(testing.TB) *rand.Rand { return rand.New(rand.NewPCG(7, 11)) }
