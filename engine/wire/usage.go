package wire

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
	ok = eachPair(v.b, int(v.pos[FUsage]), func(name []byte, at int) {
		switch string(name) {
		case "model":
			u.Model, _, _ = readStr(v.b, at)
		case "quality":
			s, _, _ := readStr(v.b, at)
			u.Quality, _ = ParseQuality(s)
		default:
			if p := u.count(name); p != nil {
				if x, big, ok := readInt(v.b, at); ok && !big {
					*p = x
				}
			}
		}
	})
	return u, ok
}

var usageNames = [...]string{"input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "cost_nanousd", "cost_claimed_nanousd"}

func (u *Usage) count(name []byte) *int64 {
	switch string(name) {
	case "input_tokens":
		return &u.Input
	case "output_tokens":
		return &u.Output
	case "cache_read_tokens":
		return &u.CacheRead
	case "cache_write_tokens":
		return &u.CacheWrite
	case "reasoning_tokens":
		return &u.Reasoning
	case "cost_nanousd":
		return &u.CostNanoUSD
	case "cost_claimed_nanousd":
		return &u.CostClaimedNanoUSD
	}
	return nil
}

func (u *Usage) append(dst []byte) []byte {
	header := len(dst)
	dst = append(dst, 0x80)
	n := 0
	if len(u.Model) > 0 {
		dst = AppendStr(AppendStr(dst, "model"), u.Model)
		n++
	}
	for _, name := range usageNames {
		if x := *u.count([]byte(name)); x != 0 {
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
