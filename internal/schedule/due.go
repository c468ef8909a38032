package schedule

import (
	"fmt"
	"slices"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// Grace is how late a run may start and still be on time. A new leader may need 20 s to notice that the old one is gone.
const Grace = time.Minute

// maxMissed is how many missed times are counted one by one: more than two months of minutes.
const maxMissed = 100_000

// Question is what is known about one schedule at one moment.
type Question struct {
	Drill   string
	Handled time.Time   // every due time up to this one is dealt with
	Ran     []time.Time // due times for which there is a run
	Now     time.Time
	Busy    string // the run of this schedule that has not ended; empty when there is none
	Trouble string // why the last attempt to start a run failed; empty when it did not
}

// Answer is what to do about it.
type Answer struct {
	Run     time.Time // the due time to start a run for; zero when there is none
	Late    bool      // Run was missed, and runs all the same
	Missed  int
	Newest  Miss      // the newest of the missed ones
	Handled time.Time // every due time up to this one is dealt with, without Run
	Next    time.Time // when the next run would start after this; zero when never
}

// Miss is a due time without a run.
type Miss struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

// Due decides. All times are compared by the clock on the wall, so that a machine that slept, or whose clock was set,
// has missed what it has missed. A clock that was set back makes nothing due twice: what is handled stays so.
func (t *Timetable) Due(q Question) Answer {
	now := q.Now.Round(0) // without the monotonic reading
	a := Answer{Handled: q.Handled}
	var open []time.Time // due, and without a run
	at := t.Next(q.Handled)
	for ; !at.IsZero() && !t.start(q.Drill, at).After(now); at = t.Next(at) {
		a.Handled = at
		if !slices.ContainsFunc(q.Ran, at.Equal) {
			open = append(open, at)
		}
		if len(open) > maxMissed {
			// Nobody needs them one by one. What is due within the last minute is found the next time.
			open = open[:maxMissed]
			a.Handled = now.Add(-Grace)
			at = t.Next(a.Handled)
			break
		}
	}
	if !at.IsZero() {
		a.Next = t.start(q.Drill, at)
	}
	if len(open) == 0 {
		return a
	}
	newest := open[len(open)-1]
	onTime := now.Sub(t.start(q.Drill, newest)) <= Grace
	reason := "the server did not run, or could not schedule the drill"
	if q.Trouble != "" {
		reason = q.Trouble
	}
	run := onTime
	if !onTime && t.spec.Missed == drill.MissedRunLate {
		if run = t.Open(now); !run {
			reason = "it could have run late only outside its window, or within a blackout"
		}
	}
	if run && q.Busy != "" {
		run, reason = false, fmt.Sprintf("run %s had not ended", q.Busy)
	}
	if run {
		a.Run, a.Late = newest, !onTime
		open = open[:len(open)-1]
		// Everything before it is dealt with, and it itself not yet.
		a.Handled = newest.Add(-time.Second)
		a.Next = t.start(q.Drill, newest)
	}
	if a.Missed = len(open); a.Missed > 0 {
		a.Newest = Miss{At: open[len(open)-1], Reason: reason}
	}
	return a
}

// start is when the run of a due time starts.
func (t *Timetable) start(drillName string, at time.Time) time.Time {
	return at.Add(t.Delay(drillName, at))
}
