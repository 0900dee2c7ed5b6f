package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	m := r.Machine
	fmt.Fprintf(w, "eyrie bench %s   %s\n%s\n", r.Part, r.At.Format(time.RFC3339), r.Command)
	fmt.Fprintf(w, "machine   %s, %d cores, %d MiB, Linux %s, data on %s\n", m.CPU, m.Cores, m.Memory, m.Kernel, m.Disk)
	fmt.Fprintf(w, "eyrie     %s (%s), %s %s\n", r.Version, short(r.Commit), m.Go, m.Arch)
	r.writeNoise(w)
	for _, s := range r.Settings {
		fmt.Fprintf(w, "%-9s %s\n", s.Name, s.Value)
	}
	if len(r.Says) > 0 {
		fmt.Fprintf(w, "\n%s\n", strings.Join(r.Says, "\n"))
	}
	if err := r.writeFigures(w); err != nil {
		return err
	}
	for _, p := range r.Parts {
		fmt.Fprintf(w, "\n%s\n", p.Part)
		p.writeNoise(w)
		for _, s := range p.Settings {
			fmt.Fprintf(w, "%-9s %s\n", s.Name, s.Value)
		}
		if err := p.writeFigures(w); err != nil {
			return err
		}
	}
	return nil
}

func (r *Report) writeFigures(w io.Writer) error {
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range r.Figures {
		says := f.Says
		if s := f.spread(); s != "" {
			says = strings.TrimSuffix(s+"; "+says, "; ")
		}
		fmt.Fprintf(t, "%s\t%*s\t%s\t%s\n", f.Name, 11, Number(f.Value), f.Unit, says)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, f := range r.Faults {
		fmt.Fprintf(w, "FAULT     %s\n", f)
	}
	for _, u := range r.Unfinished {
		fmt.Fprintf(w, "UNFINISHED %s\n", u)
	}
	return nil
}

// spread is the interval in words, "" for what was measured once.
func (f *Figure) spread() string {
	if f.Interval == nil {
		return ""
	}
	return fmt.Sprintf("95 %% interval %s to %s over %d rounds", Number(f.Interval[0]), Number(f.Interval[1]), len(f.Rounds))
}

func (r *Report) writeNoise(w io.Writer) {
	if r.Noise == nil {
		return
	}
	fmt.Fprintf(w, "noise     others %.1f %%, steal %.1f %% of the cores: ", 100*r.Noise.OtherShare, 100*r.Noise.StealShare)
	if r.Noise.Trusted {
		fmt.Fprintln(w, "quiet enough")
	} else {
		fmt.Fprintf(w, "NOT TO BE TRUSTED, %s\n", r.Noise.Why)
	}
}

func short(s string) string { return s[:min(len(s), 12)] }

// Number prints a number with about three digits that count.
func Number(v float64) string {
	switch a := max(v, -v); {
	case a >= 1000:
		return Thousands(fmt.Sprintf("%.0f", v))
	case a >= 100 || v == float64(int64(v)):
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 0.1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.2g", v)
}

// Thousands puts commas into the digits of a whole number.
func Thousands(s string) string {
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 && s[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}
