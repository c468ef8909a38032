package schedule

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// Book is what is known of all schedules. It is kept outside the server, and survives it.
type Book struct {
	Entries  []Entry         `json:"schedules"`
	Problems []SourceProblem `json:"problems"`

	tables *Tables
}

// Entry is one drill's schedule.
type Entry struct {
	Drill     string         `json:"drill"`
	Fault     string         `json:"fault"`             // the kind of its first fault
	Targets   string         `json:"targets,omitempty"` // the namespaces of its targets, with commas
	Source    string         `json:"source"`            // where its file is
	Requester string         `json:"requester"`         // in whose name it runs
	Schedule  drill.Schedule `json:"schedule"`
	Paused    bool           `json:"paused"`
	// Variables are those that were given a value, as JSON; of a long value it is a text with its hash.
	Variables map[string]string `json:"variables,omitempty"`
	Handled   time.Time         `json:"handled"` // every due time up to this one is dealt with
	Next      time.Time         `json:"next,omitzero"`
	Last      time.Time         `json:"last,omitzero"` // the due time of the newest run
	LastRun   string            `json:"last_run,omitempty"`
	Missed    int               `json:"missed"` // due times without a run, since the schedule was installed
	Newest    *Miss             `json:"newest_missed,omitempty"`
	Problem   string            `json:"problem,omitempty"` // why the run that is due is not there yet
	Intent    *Intent           `json:"intent,omitempty"`  // the run that a leader is making

	table *Timetable
}

// Intent is a run that a leader has announced and not yet reported as made. While it is open, nobody knows whether the
// run exists, so nobody but that leader may make it.
type Intent struct {
	For   time.Time `json:"for"`   // the due time
	Run   string    `json:"run"`   // the name of its record
	Token string    `json:"token"` // by which the leader that wrote it recognises it
}

// SourceProblem is why nothing, or not everything, of a source is scheduled.
type SourceProblem struct {
	Source string `json:"source"`
	Text   string `json:"text"`
}

// Installed is a drill with a schedule, as it is found.
type Installed struct {
	Drill     string
	Fault     string
	Targets   string
	Source    string
	Requester string
	Paused    bool
	Schedule  drill.Schedule
	Variables map[string]string // given, as JSON
	Since     time.Time         // when it was found first as it is now; zero is now
}

// Run is a run that a schedule made.
type Run struct {
	Drill    string
	For      time.Time // its due time
	Name     string
	Finished bool
}

// Start is a run to make.
type Start struct {
	Drill string
	For   time.Time // the due time
	Late  bool
}

// Update brings the book in line with what is installed. What is new or changed counts from now on. A schedule whose
// source is there and cannot be read now is kept, with its counts; one whose source is gone is forgotten.
func (b *Book) Update(now time.Time, sources []string, problems []SourceProblem, installed []Installed) {
	now = now.Round(0)
	var entries []Entry
	problems = slices.Clone(problems)
	room := newRoom()
	for _, i := range installed {
		if first := slices.IndexFunc(entries, func(e Entry) bool { return e.Drill == i.Drill }); first >= 0 {
			problems = append(problems, SourceProblem{i.Source, fmt.Sprintf(
				"drill %q is scheduled from %s already. Remove one of the two, or give it another name", i.Drill, entries[first].Source)})
			continue
		}
		since := now
		if !i.Since.IsZero() && i.Since.Before(now) {
			since = i.Since.Round(0)
		}
		e := Entry{Drill: i.Drill, Schedule: i.Schedule, Handled: since}
		if known := b.find(i.Drill); known != nil {
			e = *known
			if !e.Schedule.Equal(i.Schedule) {
				e.Schedule, e.Handled, e.table = i.Schedule, later(since, e.Last), nil
				if e.Intent != nil {
					e.Handled = later(e.Handled, e.Intent.For)
				}
			}
		}
		e.Fault, e.Targets, e.Source, e.Requester, e.Paused, e.Variables = i.Fault, i.Targets, i.Source, i.Requester, i.Paused, shown(i.Variables)
		e.bound()
		if why := room.take(e); why != "" {
			problems = append(problems, SourceProblem{i.Source, fmt.Sprintf("drill %q is not scheduled: %s", i.Drill, why)})
			continue
		}
		if e.table == nil {
			e.table = b.tables.parse(e.Schedule) // it has been parsed where it was read
		}
		entries = append(entries, e)
	}
	for _, e := range b.Entries {
		unreadable := func(p SourceProblem) bool { return p.Source == e.Source }
		if !slices.ContainsFunc(entries, func(n Entry) bool { return n.Drill == e.Drill }) &&
			slices.Contains(sources, e.Source) && slices.ContainsFunc(problems, unreadable) {
			e.Next, e.table = time.Time{}, nil
			e.bound()
			if room.take(e) == "" {
				entries = append(entries, e)
			}
		}
	}
	b.Problems = boundProblems(problems)
	slices.SortFunc(entries, func(x, y Entry) int { return cmp.Compare(x.Drill, y.Drill) })
	for i := range b.Problems {
		b.Problems[i].Text = drill.Clean(b.Problems[i].Text)
	}
	slices.SortFunc(b.Problems, func(x, y SourceProblem) int {
		return cmp.Or(cmp.Compare(x.Source, y.Source), cmp.Compare(x.Text, y.Text))
	})
	b.Entries = entries
}

// Pending reports whether there is anything to decide or to settle.
func (b *Book) Pending(now time.Time) bool {
	return slices.ContainsFunc(b.Entries, func(e Entry) bool {
		if e.Intent != nil {
			return true
		}
		if e.table == nil {
			return false
		}
		a := e.table.Due(Question{Drill: e.Drill, Handled: e.Handled, Now: now})
		return !a.Run.IsZero() || a.Missed > 0
	})
}

// Decide counts what was missed and returns the runs that are due. Each of them stays due until Started is
// called for it. A drill with an open intent waits until that is settled.
func (b *Book) Decide(now time.Time, runs []Run) []Start {
	now = now.Round(0)
	var starts []Start
	for i := range b.Entries {
		e := &b.Entries[i]
		if e.table == nil || e.Intent != nil {
			continue
		}
		q := Question{Drill: e.Drill, Handled: e.Handled, Now: now, Trouble: e.Problem}
		for _, r := range runs {
			if r.Drill != e.Drill {
				continue
			}
			q.Ran = append(q.Ran, r.For)
			if !r.Finished {
				q.Busy = r.Name
			}
			if r.For.After(e.Last) {
				e.Last, e.LastRun = r.For, r.Name
			}
		}
		a := e.table.Due(q)
		e.Handled, e.Next = a.Handled, a.Next
		if e.Paused {
			// Nobody wants these times: they are no misses.
			e.done(a.Run)
			continue
		}
		if a.Missed > 0 {
			e.miss(a.Missed, a.Newest)
		}
		if !a.Run.IsZero() {
			starts = append(starts, Start{Drill: e.Drill, For: a.Run, Late: a.Late})
		}
	}
	return starts
}

// Intend announces a run. The book must be saved before the run is made.
func (b *Book) Intend(s Start, run, token string) {
	if e := b.find(s.Drill); e != nil {
		e.Intent = &Intent{For: s.For, Run: run, Token: token}
	}
}

// Withdraw takes back an intent whose run was certainly not made. The run stays due.
func (b *Book) Withdraw(drillName string) {
	if e := b.find(drillName); e != nil {
		e.Intent = nil
	}
}

// Started notes that there is a run for a due time.
func (b *Book) Started(s Start, run string) {
	if e := b.find(s.Drill); e != nil {
		if !e.Last.After(s.For) {
			e.Last, e.LastRun = s.For, run
		}
		e.Problem = ""
		e.done(s.For)
		e.Intent = nil
	}
}

// Failed notes that a run could not be made for now, and certainly was not. It stays due.
func (b *Book) Failed(s Start, reason string) {
	if e := b.find(s.Drill); e != nil {
		e.Problem = drill.Clean(reason)
		e.Intent = nil
	}
}

// Lost counts a due time as missed for which an intent stands, and of whose run nothing is known.
func (b *Book) Lost(s Start, reason string) {
	if e := b.find(s.Drill); e != nil {
		e.miss(1, Miss{At: s.For, Reason: reason})
		e.done(s.For)
		e.Intent = nil
	}
}

// Skipped counts a due time as missed whose run must not start. It does not run late either.
func (b *Book) Skipped(s Start, reason string) { b.Lost(s, reason) }

// Next is when the next run of any schedule starts; zero when never.
func (b *Book) Next() time.Time {
	var next time.Time
	for _, e := range b.Entries {
		if !e.Next.IsZero() && (next.IsZero() || e.Next.Before(next)) {
			next = e.Next
		}
	}
	return next
}

// Overdue is a due time that nobody has dealt with for so long that somebody should look; zero when all is well.
func (e Entry) Overdue(now time.Time) time.Time {
	table, problems := Parse(e.Schedule)
	if len(problems) > 0 {
		return time.Time{}
	}
	if at := table.Next(e.Handled); !at.IsZero() && now.Sub(table.start(e.Drill, at)) > Grace {
		return at
	}
	return time.Time{}
}

// Upcoming is when the next run starts; zero when it is paused, has a problem that keeps it from running, or never.
func (e Entry) Upcoming() time.Time {
	if e.Paused {
		return time.Time{}
	}
	return e.Next
}

func (b *Book) find(drillName string) *Entry {
	i := slices.IndexFunc(b.Entries, func(e Entry) bool { return e.Drill == drillName })
	if i < 0 {
		return nil
	}
	return &b.Entries[i]
}

// Trouble is what somebody should look at; empty when all is well.
func (e Entry) Trouble(now time.Time) string {
	if e.Problem == "" && e.Handled.Sub(now) > Grace {
		return fmt.Sprintf("the clock was set back: every time up to %s is dealt with", e.Handled.UTC().Format(time.RFC3339))
	}
	return e.Problem
}

func (e *Entry) miss(n int, newest Miss) {
	newest.Reason = drill.Clean(newest.Reason) // others' errors are in it
	e.Missed += n
	newest.Reason = cut(newest.Reason, maxReason)
	e.Newest = &newest
	e.Problem = ""
}

func (e *Entry) done(at time.Time) {
	e.Handled = later(e.Handled, at)
	e.Next = time.Time{}
	if e.table != nil {
		if next := e.table.Next(e.Handled); !next.IsZero() {
			e.Next = e.table.start(e.Drill, next)
		}
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
