package schedule

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// window is a stretch of some days of the week.
type window struct {
	days     [7]bool // by time.Weekday
	from, to int     // minutes since midnight, by the clock; to is not in it
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// parseWindow reads "Mon-Fri 09:00-16:00"; without days, every day.
func parseWindow(text string) (window, error) {
	wrong := func(what string) error {
		return fmt.Errorf("%q is no window: %s. Write days and a stretch of them, such as \"Mon-Fri 09:00-16:00\"", text, what)
	}
	var w window
	fields := strings.Fields(text)
	switch len(fields) {
	case 1:
		w.days = [7]bool{true, true, true, true, true, true, true}
	case 2:
		for part := range strings.SplitSeq(fields[0], ",") {
			first, last, isRange := strings.Cut(part, "-")
			if !isRange {
				last = first
			}
			from, to := slices.Index(weekdays, strings.ToLower(first)), slices.Index(weekdays, strings.ToLower(last))
			if from < 0 || to < 0 {
				return w, wrong(fmt.Sprintf("%q names no days (Mon, Tue, Wed, Thu, Fri, Sat, Sun)", part))
			}
			for day := from; ; day = (day + 1) % 7 {
				w.days[day] = true
				if day == to {
					break
				}
			}
		}
	default:
		return w, wrong("it must have one or two parts")
	}
	from, to, ok := strings.Cut(fields[len(fields)-1], "-")
	var okFrom, okTo bool
	w.from, okFrom = clock(from)
	w.to, okTo = clock(to)
	switch {
	case !ok || !okFrom || !okTo:
		return w, wrong(fmt.Sprintf("%q is no stretch of a day", fields[len(fields)-1]))
	case w.to <= w.from:
		return w, wrong("it ends before it begins; write one window up to 24:00, and another from 00:00")
	}
	return w, nil
}

// clock reads a time of day, of which 24:00 is the end.
func clock(text string) (minutes int, ok bool) {
	if text == "24:00" {
		return 24 * 60, true
	}
	t, err := time.Parse("15:04", text)
	return t.Hour()*60 + t.Minute(), err == nil && len(text) == len("15:04")
}

func (w window) holds(at time.Time) bool {
	minutes := at.Hour()*60 + at.Minute()
	return w.days[at.Weekday()] && w.from <= minutes && minutes < w.to
}

// blackout is some days in a row, by the clock of the schedule's zone.
type blackout struct{ first, last time.Time } // midnights of UTC

// parseBlackout reads "2026-12-20/2027-01-05", both days included, or one day.
func parseBlackout(text string) (blackout, error) {
	first, last, isRange := strings.Cut(text, "/")
	if !isRange {
		last = first
	}
	var b blackout
	var errFirst, errLast error
	b.first, errFirst = time.Parse(time.DateOnly, first)
	b.last, errLast = time.Parse(time.DateOnly, last)
	switch {
	case errFirst != nil || errLast != nil:
		return b, fmt.Errorf("%q is no blackout. Write the first and the last day, such as \"2026-12-20/2027-01-05\", or one day", text)
	case b.last.Before(b.first):
		return b, fmt.Errorf("%q ends before it begins. Write the earlier day first", text)
	}
	return b, nil
}

func (b blackout) start(location *time.Location) time.Time { return showing(b.first, location) }
func (b blackout) end(location *time.Location) time.Time {
	return showing(b.last.AddDate(0, 0, 1), location)
}
