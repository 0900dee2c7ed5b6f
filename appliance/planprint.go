package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"

	"eyrie/appliance/capacity"
)

// writePlan writes an answer for people: what is asked, what it takes, what ends
// first, what to do.
func writePlan(w io.Writer, a *capacity.Answer, c *capacity.Costs, price *float64) error {
	l := &a.Load
	fmt.Fprintf(w, "load    %s agents on %s connections: %s events/s in frames of %s, %s metric samples/s", amount(l.Agents), amount(l.Connections), amount(l.Agents*l.Events), amount(l.Frame), amount(l.Agents*l.Samples))
	if l.Viewers > 0 {
		fmt.Fprintf(w, "; %s viewers, each sent %s events/s", amount(l.Viewers), amount(l.Seen))
	}
	if l.Days > 0 {
		fmt.Fprintf(w, "; kept %s days", amount(l.Days))
	}
	fmt.Fprintf(w, "\nhost    %s\n", hostLine(&a.Host))
	fmt.Fprintf(w, "costs   %s, %s, on %d cores of %s\n\n", c.By, c.At.Format("2006-01-02"), c.Machine.Cores, plain(c.Machine.CPU))

	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\tTHIS LOAD\tOF WHAT A PLAN USES\tFOR")
	for i := range a.Needs {
		n := &a.Needs[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", capacity.Title(n.Name), needed(n), usedOf(n), parts(n))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, line := range verdict(a) {
		fmt.Fprintf(w, "\n%s", line)
	}
	fmt.Fprintln(w)
	if len(a.Limits) > 0 {
		fmt.Fprintln(w)
		fmt.Fprintln(t, "LIMIT\tAT\tWHAT MOVES IT")
		for _, m := range a.Limits {
			most := ""
			if m.Loose {
				most = "at most "
			}
			fmt.Fprintf(t, "%s\t%s%s × this load\t%s\n", capacity.Title(m.Name), most, amount(m.Times), m.Says)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	if price == nil {
		a.Says = append(a.Says, "--price P says what a connection and a million events cost.")
	}
	for _, part := range []struct {
		title string
		lines []string
	}{{"not known", a.Unanswered}, {"rests on", append(a.Says, c.Says)}} {
		if len(part.lines) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s\n", part.title)
		for _, s := range part.lines {
			if s != "" {
				fmt.Fprintf(w, "  %s\n", plain(s))
			}
		}
	}
	return nil
}

func hostLine(h *capacity.Host) string {
	var s []string
	known := func(v float64, format string, args ...any) {
		if v > 0 {
			s = append(s, fmt.Sprintf(format, args...))
		}
	}
	of := ""
	if h.CPU != "" {
		of = " of " + plain(h.CPU)
	}
	known(h.Cores, "%s cores%s", amount(h.Cores), of)
	known(h.Memory, "%s memory", inUnit(h.Memory, "bytes"))
	known(h.Descriptors, "%s descriptors", amount(h.Descriptors))
	known(h.Disk, "%s GB disk, %s GB free", amount(h.Disk/gb), amount(h.DiskFree/gb))
	if len(s) == 0 {
		return "nothing is known of it"
	}
	return strings.Join(s, ", ")
}

// needed is a need in its unit: what was not measured makes it a lower bound.
func needed(n *capacity.Need) string {
	switch {
	case !n.Known():
		return "not known"
	case n.AtLeast():
		return "≥ " + inNeed(n, n.Value)
	}
	return inNeed(n, n.Value)
}

func usedOf(n *capacity.Need) string {
	if n.Usable <= 0 || !n.Known() {
		return ""
	}
	return fmt.Sprintf("%s %% of %s", amount(100*n.Used()), inNeed(n, n.Usable))
}

func parts(n *capacity.Need) string {
	var s []string
	for _, p := range n.Parts {
		s = append(s, p.Name+" "+inNeed(n, p.Value))
	}
	if len(n.Missing) > 0 {
		s = append(s, "not measured: "+strings.Join(n.Missing, ", "))
	}
	if len(n.Parts) == 1 && len(n.Missing) == 0 {
		return n.Parts[0].Name + ": " + n.Says
	}
	return strings.Join(s, ", ")
}

// inNeed writes a value in the unit that the need is bought in.
func inNeed(n *capacity.Need, v float64) string {
	switch n.Name {
	case capacity.Disk:
		return amount(v/gb) + " GB"
	case capacity.NetworkIn, capacity.NetworkOut:
		return amount(v*8/1e6) + " Mbit/s"
	case capacity.DiskWrites:
		return amount(v/1e6) + " MB/s"
	}
	return inUnit(v, n.Unit)
}

func inUnit(v float64, unit string) string {
	switch unit {
	case "bytes":
		if v < gib {
			return amount(v/(1<<20)) + " MiB"
		}
		return amount(v/gib) + " GiB"
	case "operations/s":
		return amount(v) + " IOPS"
	case "descriptors":
		return amount(v)
	}
	return amount(v) + " " + unit
}

// verdict says in sentences what the host bears. How long the disk lasts is
// another matter than what can run at once.
func verdict(a *capacity.Answer) (s []string) {
	l := &a.Load
	var first, disk *capacity.Limit
	for i := range a.Limits {
		switch m := &a.Limits[i]; {
		case m.Name == capacity.Disk:
			disk = m
		case first == nil:
			first = m
		}
	}
	switch {
	case first == nil:
		s = append(s, "What the host bears is not known.")
	case first.Times >= 1:
		s = append(s, fmt.Sprintf("This host bears it %s times: %s agents with %s events/s. What ends it: %s.", amount(first.Times), amount(math.Floor(l.Agents*first.Times+1e-6)), amount(l.Agents*l.Events*first.Times), capacity.Title(first.Name)))
	case first.Times == 0:
		s = append(s, fmt.Sprintf("This host bears none of it: %s is used up before the first agent.", capacity.Title(first.Name)))
	default:
		s = append(s, fmt.Sprintf("This host does not bear it, only %s of it: %s agents with %s events/s. What ends it: %s.", amount(first.Times), amount(math.Floor(l.Agents*first.Times+1e-6)), amount(l.Agents*l.Events*first.Times), capacity.Title(first.Name)))
	}
	if a.DiskPerDay > 0 {
		line := fmt.Sprintf("The disk fills by %s GB a day", amount(a.DiskPerDay/gb))
		if a.DiskDays > 0 {
			line += fmt.Sprintf(": it holds %s days", amount(a.DiskDays))
			if disk != nil && disk.Times < 1 {
				line += fmt.Sprintf(", not %s", amount(l.Days))
			}
		}
		s = append(s, line+".")
	}
	if p := a.Price; p != nil {
		line := fmt.Sprintf("It costs %s a month", amount(p.Month))
		if p.Hosts > 1 {
			line += fmt.Sprintf(" on %s such hosts", amount(p.Hosts))
		}
		line += fmt.Sprintf(": %s a connection, %s a million events", amount(p.Connection), amount(p.Million))
		if p.Full > 0 {
			line += fmt.Sprintf("; with as many as the host bears, %s a connection", amount(p.Full))
		}
		s = append(s, line+".")
	}
	return s
}

// amount writes a number with about three digits that count.
func amount(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1e15:
		return strconv.FormatFloat(v, 'g', 3, 64)
	case a >= 100:
		return thousands(strconv.FormatFloat(v, 'f', 0, 64))
	case a == math.Trunc(a):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}

// thousands puts commas into the digits of a whole number.
func thousands(s string) string {
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 && s[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}
