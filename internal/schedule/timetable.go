// Package schedule decides when drills are due, what was missed, and what runs next; it is pure.
package schedule

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // drill's image holds drill alone, and no time zones

	"github.com/robfig/cron/v3"

	"github.com/failoverdrill/drill/internal/drill"
)

// Problem is one thing that is wrong with a schedule.
type Problem struct {
	Argument string // of the schedule block
	Summary  string
	Detail   string
}

// Timetable is when a schedule is due.
type Timetable struct {
	spec      drill.Schedule
	cron      *cron.SpecSchedule
	location  *time.Location
	windows   []window
	blackouts []blackout
	black     []stretch // the blackouts, in order and without overlaps
}

// Bounds of a schedule. Whoever needs more has another problem than a schedule solves.
const (
	maxSchedule = 200 // bytes of an expression, a window, a blackout or a zone's name
	maxWindows  = 50
	maxBlacks   = 100
)

// stretch is some time, without its end.
type stretch struct{ start, end time.Time }

// everyHour is the bit by which the parser marks a field that is a star.
const everyHour = 1 << 63

// Parse reads a schedule, and reports every problem at once.
func Parse(s drill.Schedule) (*Timetable, []Problem) {
	t := &Timetable{spec: s}
	var problems []Problem
	report := func(argument, summary, format string, args ...any) {
		problems = append(problems, Problem{argument, summary, fmt.Sprintf(format, args...)})
	}
	if tooLong(s, report) {
		return nil, problems
	}
	var err error
	if t.cron, err = parseCron(s.Cron); err != nil {
		report("cron", "Invalid cron expression", "%v", err)
	}
	if t.location, err = parseZone(s.Timezone); err != nil {
		report("timezone", "Unknown time zone", "%v", err)
	}
	if s.Missed != drill.MissedSkip && s.Missed != drill.MissedRunLate {
		report("missed", "Unknown value", "%q is neither \"skip\" nor \"run_late\". Write \"skip\" to count a missed run, or \"run_late\" to run the newest one once, late", s.Missed)
	}
	for _, text := range s.Window {
		w, err := parseWindow(text)
		if err != nil {
			report("window", "Invalid window", "%v", err)
		}
		t.windows = append(t.windows, w)
	}
	for _, text := range s.Blackout {
		b, err := parseBlackout(text)
		if err != nil {
			report("blackout", "Invalid blackout", "%v", err)
		}
		t.blackouts = append(t.blackouts, b)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	t.merge()
	// A year that has everything: the last day of February, and both changes of the clock.
	from := time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC)
	switch first := t.nextByClock(from); {
	case first.IsZero():
		report("cron", "Never due", "%q names a day that does not exist. Check the day of the month and the month", s.Cron)
	case len(t.windows) > 0 && t.nextOpen(from, false).IsZero():
		report("window", "Never due", "%q is never within the window. Write a window that holds the time of day and the weekday of the cron expression", s.Cron)
	case s.Jitter > 0:
		if gap := t.shortestGap(from); s.Jitter >= gap {
			report("jitter", "Jitter too long", "A run may be %s late, but the next one is due after %s. Write a shorter jitter", s.Jitter, gap)
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return t, nil
}

// tooLong bounds what is read at all.
func tooLong(s drill.Schedule, report func(argument, summary, format string, args ...any)) (found bool) {
	check := func(argument string, most int, texts ...string) {
		if len(texts) > most {
			found = true
			report(argument, "Too many", "There are %d, and a schedule has at most %d", len(texts), most)
			return
		}
		for _, text := range texts {
			if len(text) > maxSchedule {
				found = true
				report(argument, "Too long", "%q… has %d bytes, and at most %d are read", text[:20], len(text), maxSchedule)
				return
			}
		}
	}
	check("cron", 1, s.Cron)
	check("timezone", 1, s.Timezone)
	check("missed", 1, s.Missed)
	check("window", maxWindows, s.Window...)
	check("blackout", maxBlacks, s.Blackout...)
	return found
}

// merge puts the blackouts in order, and joins those that overlap or follow each other.
func (t *Timetable) merge() {
	var all []stretch
	for _, b := range t.blackouts {
		all = append(all, stretch{b.start(t.location), b.end(t.location)})
	}
	slices.SortFunc(all, func(a, b stretch) int { return a.start.Compare(b.start) })
	for _, s := range all {
		if n := len(t.black); n > 0 && !s.start.After(t.black[n-1].end) {
			t.black[n-1].end = later(t.black[n-1].end, s.end)
			continue
		}
		t.black = append(t.black, s)
	}
}

// parseCron guards the parser, which panics on some texts, and takes what drill gives a place of its own.
func parseCron(text string) (s *cron.SpecSchedule, err error) {
	const example = `Write five fields: minute, hour, day of month, month, day of week, such as "0 10 1 * *"; or @hourly, @daily, @weekly, @monthly, @yearly`
	defer func() {
		if p := recover(); p != nil {
			s, err = nil, fmt.Errorf("%q cannot be read. %s", text, example)
		}
	}()
	switch {
	case strings.HasPrefix(text, "TZ=") || strings.HasPrefix(text, "CRON_TZ="):
		return nil, fmt.Errorf("%q names a time zone. Write it as the argument timezone, such as timezone = \"Europe/Berlin\"", text)
	case strings.HasPrefix(text, "@every"):
		return nil, fmt.Errorf("%q has no fixed times, so that nobody could tell which run was missed. Write fields, such as \"*/10 * * * *\" for every ten minutes", text)
	}
	parsed, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%q is no cron expression: %w. %s", text, err, example)
	}
	s, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("%q has no fixed times. %s", text, example)
	}
	return s, nil
}

func parseZone(name string) (*time.Location, error) {
	if name == "" || name == "Local" { // which Go reads as UTC, and as whatever the machine has
		return nil, fmt.Errorf("%q is no time zone. Write the name of one, such as \"Europe/Berlin\" or \"UTC\"", name)
	}
	location, err := time.LoadLocation(name)
	if err != nil {
		return nil, errors.New(fmt.Sprintf("%q", name) + " is not the name of a time zone. Write one of the IANA database, such as \"Europe/Berlin\" or \"UTC\"")
	}
	return location, nil
}

// Location is the schedule's time zone.
func (t *Timetable) Location() *time.Location { return t.location }

// Next is the first due time after a time; the zero time when there is none.
func (t *Timetable) Next(after time.Time) time.Time { return t.nextOpen(after, true) }

// Times are the next n due times.
func (t *Timetable) Times(after time.Time, n int) []time.Time {
	var times []time.Time
	for range n {
		after = t.Next(after)
		if after.IsZero() {
			break
		}
		times = append(times, after)
	}
	return times
}

// How far Next looks for a time within the windows. The parser itself looks five years ahead.
const (
	maxClosed = 50_000 // times of the expression in a row: more than a month of minutes
	maxYears  = 6
)

// gapBefore is how long before a window opens the expression is asked again: what a clock skips there is due after it.
const gapBefore = 3 * time.Hour

// nextOpen leaves out the times outside the windows and within the blackouts.
func (t *Timetable) nextOpen(after time.Time, blackouts bool) time.Time {
	limit := after.AddDate(maxYears, 0, 0)
	for range maxClosed {
		at, wall := t.nextShown(after)
		if at.IsZero() {
			return at
		}
		if at.After(limit) {
			break
		}
		until, black := t.blackUntil(at)
		switch {
		case black && blackouts:
			after = until.Add(-time.Second)
			limit = after.AddDate(maxYears, 0, 0)
		case !t.shownInWindow(wall):
			// Minute by minute it would take 10,000 steps to the same time next week.
			after = later(at, t.nextWindow(at).Add(-gapBefore))
		default:
			return at
		}
	}
	return time.Time{}
}

// nextByClock asks the cron expression. It is due by the clock on the wall: once when the clock shows a time twice, at
// its first showing, and when the clock leaves a time out, right after the gap. An expression for every hour goes by
// hours that pass instead, or it would rest for one.
func (t *Timetable) nextByClock(after time.Time) time.Time {
	at, _ := t.nextShown(after)
	return at
}

// nextShown is the same with the time of the expression, as a time of UTC: one that the clock leaves out has its place in
// a window all the same, although it is due after the gap.
func (t *Timetable) nextShown(after time.Time) (at, wall time.Time) {
	after = after.In(t.location)
	if t.cron.Hour&everyHour != 0 {
		at := t.cron.Next(after)
		return at, asUTC(at)
	}
	wall = asUTC(after)
	for {
		wall = t.cron.Next(wall)
		if wall.IsZero() {
			return wall, wall
		}
		if at := showing(wall, t.location); at.After(after) {
			return at, wall
		}
	}
}

// asUTC is a time of which UTC's clock shows what the clock of its own zone shows.
func asUTC(at time.Time) time.Time {
	_, offset := at.Zone()
	return at.Add(time.Duration(offset) * time.Second).UTC()
}

// showing is the first moment at which the location's clock shows what UTC's clock shows at wall, or has just left it out.
func showing(wall time.Time, location *time.Location) time.Time {
	at := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), 0, location)
	start, end := at.ZoneBounds()
	switch shown := asUTC(at); {
	case shown.After(wall): // left out, and at is after the gap
		return start
	case shown.Before(wall): // left out, and at is before the gap
		return end
	}
	if start.IsZero() {
		return at
	}
	_, before := start.Add(-time.Second).Zone()
	if earlier := wall.Add(-time.Duration(before) * time.Second).In(location); earlier.Before(start) {
		return earlier
	}
	return at
}

// shortestGap is the least time between times of the expression, as far as a year and a good number of them show.
func (t *Timetable) shortestGap(from time.Time) time.Duration {
	gap := 366 * 24 * time.Hour
	until := from.AddDate(1, 0, 0)
	previous := t.nextByClock(from)
	for range 500 {
		next := t.nextByClock(previous)
		if next.IsZero() || next.After(until) {
			break
		}
		gap, previous = min(gap, next.Sub(previous)), next
	}
	return gap
}

// Delay is the jitter of a due time. It is the same on every server: a hash, and not chance.
func (t *Timetable) Delay(drillName string, at time.Time) time.Duration {
	if t.spec.Jitter <= 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(drillName + "\x00" + at.UTC().Format(time.RFC3339)))
	seconds := max(uint64(t.spec.Jitter/time.Second), 1)
	// The low bits of FNV mix well, the order of its input shows in the high ones.
	delay := time.Duration(h.Sum64()%seconds) * time.Second
	if !t.Open(at.Add(delay)) {
		return 0
	}
	return delay
}

// Open reports whether a run may start at a time.
func (t *Timetable) Open(at time.Time) bool {
	_, black := t.blackUntil(at)
	return !black && t.inWindow(at)
}

func (t *Timetable) inWindow(at time.Time) bool { return t.shownInWindow(asUTC(at.In(t.location))) }

// shownInWindow goes by what the clock shows, as a time of UTC.
func (t *Timetable) shownInWindow(wall time.Time) bool {
	return len(t.windows) == 0 || slices.ContainsFunc(t.windows, func(w window) bool { return w.holds(wall) })
}

// nextWindow is the next time after a time outside the windows at which one opens, by the clock.
func (t *Timetable) nextWindow(after time.Time) time.Time {
	after = after.In(t.location)
	var next time.Time
	for day := range 9 {
		midnight := time.Date(after.Year(), after.Month(), after.Day()+day, 0, 0, 0, 0, time.UTC)
		for _, w := range t.windows {
			if !w.days[midnight.Weekday()] {
				continue
			}
			at := showing(midnight.Add(time.Duration(w.from)*time.Minute), t.location)
			if at.After(after) && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
		if !next.IsZero() {
			return next
		}
	}
	return after
}

// blackUntil reports whether a time is within a blackout, and when that ends.
func (t *Timetable) blackUntil(at time.Time) (until time.Time, black bool) {
	i, found := slices.BinarySearchFunc(t.black, at, func(s stretch, at time.Time) int { return s.start.Compare(at) })
	if !found {
		i-- // the last one that began before
	}
	if i < 0 || !at.Before(t.black[i].end) {
		return time.Time{}, false
	}
	return t.black[i].end, true
}
