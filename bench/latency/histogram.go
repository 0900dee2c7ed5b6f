package latency

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"time"
)

// Buckets: durations below 64 µs have one bucket each microsecond, above that
// every power of two is cut into 64.
const (
	subBits = 6
	sub     = 1 << subBits
	buckets = (40 - subBits) * sub // up to 2^39 µs, six days
)

// Histogram counts durations. The zero value is empty.
type Histogram struct {
	n     uint64
	sum   float64 // µs
	max   time.Duration
	count [buckets]uint64
}

// index returns the bucket of a number of microseconds.
func index(us uint64) int {
	if us < sub {
		return int(us)
	}
	shift := bits.Len64(us) - subBits - 1
	i := shift<<subBits + int(us>>shift)
	return min(i, buckets-1)
}

// upper returns the largest number of microseconds of a bucket.
func upper(i int) uint64 {
	if i < sub {
		return uint64(i)
	}
	shift := i>>subBits - 1
	return uint64(i-shift<<subBits+1)<<shift - 1
}

// Add counts d once; below zero counts as zero.
func (h *Histogram) Add(d time.Duration) {
	us := uint64(max(d, 0) / time.Microsecond)
	h.count[index(us)]++
	h.n++
	h.sum += float64(us)
	h.max = max(h.max, d)
}

// Merge adds what o has counted.
func (h *Histogram) Merge(o *Histogram) {
	for i, c := range o.count {
		h.count[i] += c
	}
	h.n += o.n
	h.sum += o.sum
	h.max = max(h.max, o.max)
}

// Since returns what was added to h after it was as earlier. Of its longest the
// bucket's end is known, if it is not the longest of all.
func (h *Histogram) Since(earlier *Histogram) (d Histogram) {
	d.n, d.sum = h.n-earlier.n, h.sum-earlier.sum
	for i := range h.count {
		if d.count[i] = h.count[i] - earlier.count[i]; d.count[i] > 0 {
			d.max = min(time.Duration(upper(i))*time.Microsecond, h.max)
		}
	}
	return d
}

// Count returns how many durations were added.
func (h *Histogram) Count() uint64 { return h.n }

// Max returns the longest, exactly.
func (h *Histogram) Max() time.Duration { return h.max }

// Mean returns the mean, 0 of none.
func (h *Histogram) Mean() time.Duration {
	if h.n == 0 {
		return 0
	}
	return time.Duration(h.sum / float64(h.n) * float64(time.Microsecond))
}

// Quantile returns a duration that the share q of all does not exceed, rounded
// up to its bucket's end; 0 of none.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	rank := uint64(q * float64(h.n))
	if float64(rank) < q*float64(h.n) || rank == 0 {
		rank++
	}
	var seen uint64
	for i, c := range h.count {
		if seen += c; seen >= rank {
			return min(time.Duration(upper(i))*time.Microsecond, h.max)
		}
	}
	return h.max
}

// wireForm is a Histogram on its way between processes: pairs of bucket and count.
type wireForm struct {
	Sum     float64     `json:"sum_us"`
	Max     int64       `json:"max_ns"`
	Buckets [][2]uint64 `json:"buckets"`
}

// MarshalJSON writes the buckets that hold something.
func (h *Histogram) MarshalJSON() ([]byte, error) {
	f := wireForm{Sum: h.sum, Max: int64(h.max), Buckets: [][2]uint64{}}
	for i, c := range h.count {
		if c > 0 {
			f.Buckets = append(f.Buckets, [2]uint64{uint64(i), c})
		}
	}
	return json.Marshal(f)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (h *Histogram) UnmarshalJSON(b []byte) error {
	var f wireForm
	if err := json.Unmarshal(b, &f); err != nil {
		return err
	}
	*h = Histogram{sum: f.Sum, max: time.Duration(f.Max)}
	for _, p := range f.Buckets {
		if p[0] >= buckets {
			return fmt.Errorf("latency: bucket %d of %d", p[0], buckets)
		}
		h.count[p[0]] += p[1]
		h.n += p[1]
	}
	return nil
}
