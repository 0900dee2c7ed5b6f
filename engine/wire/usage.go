package wire

import "math"

// Usage is the total that a span's own work has used so far; a later one replaces it.
type Usage struct {
	Model              []byte // aliases the payload when a View made it
	Input, Output      int64  // tokens
	CacheRead          int64
	CacheWrite         int64
	Reasoning          int64
	CostNanoUSD        int64 // 1e-9 dollars
	CostClaimedNanoUSD int64
	Quality            Quality
}

// Usage returns the usage; ok when there is one.
func (v *View) Usage() (u Usage, ok bool) {
	if !v.Has(FUsage) {
		return u, false
	}
	b := v.b
	k, n, i := token(b, int(v.pos[FUsage]))
	if k != kMap {
		return u, false
	}
	for ; n > 0; n-- {
		from, kn := strAt(b, i)
		if kn < 0 {
			return u, false
		}
		i = from + kn
		w := firstWord(b, from, kn)
		s := usageWords.slot(w, 0)
		if s.word != w || int(s.n) != kn || kn > 8 && s.name != string(b[from:i]) {
			s = &noWord
		}
		if x, next := uintAt(b, i); next > 0 {
			if s != &noWord && s.v < usageModel && x <= math.MaxInt64 {
				*u.count(s.v) = int64(x)
			}
			i = next
			continue
		}
		switch {
		case s == &noWord:
		case s.v == usageModel:
			u.Model, _, _ = readStr(b, i)
		case s.v == usageQuality:
			s, _, _ := readStr(b, i)
			u.Quality, _ = ParseQuality(s)
		default:
			if x, big, ok := readInt(b, i); ok && !big {
				*u.count(s.v) = x
			}
		}
		var ok bool
		if i, ok = skipAny(b, i); !ok {
			return u, false
		}
	}
	return u, true
}

// noWord is the slot of what is not in a set.
var noWord wordSlot

var usageNames = [...]string{"input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "cost_nanousd", "cost_claimed_nanousd"}

// count returns what usageNames[i] counts.
func (u *Usage) count(i uint8) *int64 {
	switch i {
	case 0:
		return &u.Input
	case 1:
		return &u.Output
	case 2:
		return &u.CacheRead
	case 3:
		return &u.CacheWrite
	case 4:
		return &u.Reasoning
	case 5:
		return &u.CostNanoUSD
	}
	return &u.CostClaimedNanoUSD
}

func (u *Usage) append(dst []byte) []byte {
	header := len(dst)
	dst = append(dst, 0x80)
	n := 0
	if len(u.Model) > 0 {
		dst = AppendStr(AppendStr(dst, "model"), u.Model)
		n++
	}
	for i, name := range usageNames {
		if x := *u.count(uint8(i)); x != 0 {
			dst = AppendInt(AppendStr(dst, name), x)
			n++
		}
	}
	if u.Quality != 0 {
		dst = AppendStr(AppendStr(dst, "quality"), u.Quality.String())
		n++
	}
	dst[header] |= byte(n)
	return dst
}
