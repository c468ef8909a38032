package schedule_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/schedule"
	"github.com/failoverdrill/drill/test/bubble"
)

// cluster is what outlives a server: the book as it was saved, and the runs.
type cluster struct {
	testing.TB
	saved     []byte
	installed []schedule.Installed
	problems  []schedule.SourceProblem
	sources   []string
	runs      []schedule.Run
	started   map[time.Time]int
	late      int
}

func newCluster(t testing.TB, cron, missed string) *cluster {
	return &cluster{TB: t, saved: []byte("{}"), started: map[time.Time]int{}, sources: []string{"configmap/a"}, installed: []schedule.Installed{{
		Drill: "d", Source: "configmap/a", Schedule: drill.Schedule{Cron: cron, Timezone: "UTC", Missed: missed}}}}
}

func (c *cluster) book() *schedule.Book {
	b := new(schedule.Book)
	require.NoError(c, json.Unmarshal(c.saved, b))
	return b
}

func (c *cluster) entry() schedule.Entry {
	b := c.book()
	require.Len(c, b.Entries, 1)
	return b.Entries[0]
}

// begin is the first half of a server's pass, up to what it is about to start.
func (c *cluster) begin(now time.Time) (*schedule.Book, []schedule.Start) {
	b := c.book()
	b.Update(now, c.sources, c.problems, c.installed)
	return b, b.Decide(now, c.runs)
}

// start makes a run unless there is one: its name is made from the due time.
func (c *cluster) start(b *schedule.Book, s schedule.Start) {
	name := s.For.UTC().Format(time.RFC3339)
	found := false
	for _, r := range c.runs {
		found = found || r.Name == name
	}
	if !found {
		c.runs = append(c.runs, schedule.Run{Drill: s.Drill, For: s.For, Name: name, Finished: true})
		c.started[s.For.UTC()]++
		if s.Late {
			c.late++
		}
	}
	b.Started(s, name)
}

// save writes the book unless somebody else did since it was read.
func (c *cluster) save(b *schedule.Book, read []byte) bool {
	if string(read) != string(c.saved) {
		return false
	}
	var err error
	c.saved, err = json.Marshal(b)
	require.NoError(c, err)
	return true
}

// settle closes what an earlier server left open, as a leader does that has waited long enough.
func (c *cluster) settle(b *schedule.Book) {
	for _, e := range slices.Clone(b.Entries) {
		if e.Intent == nil {
			continue
		}
		s := schedule.Start{Drill: e.Drill, For: e.Intent.For}
		i := slices.IndexFunc(c.runs, func(r schedule.Run) bool { return r.Drill == s.Drill && r.For.Equal(s.For) })
		if i >= 0 {
			b.Started(s, c.runs[i].Name)
		} else {
			b.Lost(s, "the server stopped")
		}
	}
}

// steps are those of a server's pass, in their order.
const (
	intended = iota + 1 // the intent is in the book
	made                // the run is there
	all                 // and the book says so
)

// passUntil is a server that dies after a step.
func (c *cluster) passUntil(now time.Time, last int) {
	read := c.saved
	b := c.book()
	b.Update(now, c.sources, c.problems, c.installed)
	c.settle(b)
	for _, s := range b.Decide(now, c.runs) {
		b.Intend(s, "", "")
		if !c.save(b, read) || last == intended {
			return
		}
		read = c.saved
		if c.start(b, s); last == made {
			return
		}
	}
	c.save(b, read)
}

func (c *cluster) pass(now time.Time) { c.passUntil(now, all) }

func TestARestartLosesNothing(t *testing.T) {
	bubble.Test(t, func(t *testing.T) { // 2000-01-01T00:00:00Z
		c := newCluster(t, "0 * * * *", drill.MissedSkip)
		serve := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(10 * time.Second) {
				c.pass(time.Now())
			}
		}
		serve(150 * time.Minute)
		require.Len(t, c.started, 2)
		require.Zero(t, c.entry().Missed)
		require.Equal(t, at(t, "2000-01-01T03:00:00Z"), c.entry().Next.UTC())
		require.True(t, c.entry().Overdue(time.Now()).IsZero())

		time.Sleep(4 * time.Hour) // until 06:30: no server
		require.Equal(t, at(t, "2000-01-01T03:00:00Z"), c.entry().Overdue(time.Now()).UTC())
		serve(time.Hour)
		require.Len(t, c.started, 3, "07:00")
		e := c.entry()
		require.Equal(t, 4, e.Missed, "03:00 to 06:00")
		require.Equal(t, at(t, "2000-01-01T06:00:00Z"), e.Newest.At.UTC())
		require.Contains(t, e.Newest.Reason, "did not run")
		require.Equal(t, at(t, "2000-01-01T07:00:00Z"), e.Last.UTC())

		time.Sleep(29*time.Minute + 30*time.Second) // a short break over the due time is none: 08:00:00 has just passed
		serve(20 * time.Minute)
		require.Len(t, c.started, 4)
		require.Equal(t, 4, c.entry().Missed)
	})
}

func TestTheNewestMissedRunIsMadeUpFor(t *testing.T) {
	c := newCluster(t, "0 * * * *", drill.MissedRunLate)
	c.pass(at(t, "2026-01-01T00:30:00Z"))
	c.pass(at(t, "2026-01-01T05:20:00Z"))
	require.Equal(t, map[time.Time]int{at(t, "2026-01-01T05:00:00Z"): 1}, c.started)
	require.Equal(t, 1, c.late)
	require.Equal(t, 4, c.entry().Missed)
	c.pass(at(t, "2026-01-01T05:21:00Z"))
	c.pass(at(t, "2026-01-01T06:00:01Z"))
	require.Len(t, c.started, 2)
	require.Equal(t, 4, c.entry().Missed)

	c.installed[0].Schedule.Window = []string{"05:00-12:00"}
	c.pass(at(t, "2026-01-01T11:30:00Z"))
	c.pass(at(t, "2026-01-01T13:00:00Z"))
	require.Len(t, c.started, 2, "12:00 is outside the window")
	require.Equal(t, 4, c.entry().Missed, "and was never due")
	c.installed[0].Schedule.Window = []string{"05:00-12:30"}
	c.pass(at(t, "2026-01-02T11:59:00Z"))
	c.pass(at(t, "2026-01-02T13:00:00Z"))
	require.Len(t, c.started, 2, "at 13:00 it is too late for 12:00")
	require.Equal(t, 5, c.entry().Missed)
	require.Contains(t, c.entry().Newest.Reason, "outside its window")
}

func TestOneRunOfAScheduleAtATime(t *testing.T) {
	for _, missed := range []string{drill.MissedSkip, drill.MissedRunLate} {
		c := newCluster(t, "*/2 * * * *", missed)
		c.pass(at(t, "2026-01-01T00:01:00Z"))
		c.pass(at(t, "2026-01-01T00:02:00Z"))
		require.Len(t, c.runs, 1)
		c.runs[0].Finished = false
		c.pass(at(t, "2026-01-01T00:03:00Z"))
		require.Zero(t, c.entry().Missed, "a run that goes on is no miss of its own time")
		c.pass(at(t, "2026-01-01T00:04:00Z"))
		c.pass(at(t, "2026-01-01T00:04:10Z"))
		e := c.entry()
		require.Equal(t, 1, e.Missed)
		require.Equal(t, schedule.Miss{At: at(t, "2026-01-01T00:04:00Z"), Reason: "run 2026-01-01T00:02:00Z had not ended"}, *e.Newest)
		c.runs[0].Finished = true
		c.pass(at(t, "2026-01-01T00:05:00Z"))
		require.Len(t, c.runs, 1, "what was skipped is not made up for")
		c.pass(at(t, "2026-01-01T00:06:00Z"))
		require.Len(t, c.runs, 2)
	}
}

func TestTheClockIsSet(t *testing.T) {
	c := newCluster(t, "0 10 * * *", drill.MissedSkip)
	c.pass(at(t, "2026-01-01T09:00:00Z"))
	c.pass(at(t, "2026-01-01T10:00:05Z"))
	c.pass(at(t, "2026-01-01T08:00:00Z")) // back
	c.pass(at(t, "2026-01-01T10:00:00Z"))
	require.Len(t, c.started, 1, "not twice")
	require.NotEmpty(t, c.entry().Trouble(at(t, "2026-01-01T08:00:00Z")))
	require.Empty(t, c.entry().Trouble(at(t, "2026-01-01T10:00:00Z")))
	c.pass(at(t, "2026-01-04T12:00:00Z")) // forward, or the machine slept
	require.Equal(t, 3, c.entry().Missed)
	c.pass(at(t, "2026-01-05T10:00:00Z"))
	require.Len(t, c.started, 2)
	c.pass(at(t, "2031-01-01T00:00:00Z"))
	require.Equal(t, 3+365*5-4, c.entry().Missed)
}

func TestPausedChangedAndGone(t *testing.T) {
	c := newCluster(t, "0 10 * * *", drill.MissedRunLate)
	c.pass(at(t, "2026-01-01T09:00:00Z"))
	c.installed[0].Paused = true
	c.pass(at(t, "2026-01-03T09:00:00Z"))
	c.pass(at(t, "2026-01-03T10:00:00Z"))
	require.Empty(t, c.started)
	require.Zero(t, c.entry().Missed, "nobody wanted them")
	require.True(t, c.entry().Upcoming().IsZero())
	c.installed[0].Paused = false
	c.pass(at(t, "2026-01-03T10:00:30Z"))
	require.Empty(t, c.started, "nor afterwards")
	require.Equal(t, at(t, "2026-01-04T10:00:00Z"), c.entry().Upcoming().UTC())

	c.installed[0].Schedule.Cron = "*/5 * * * *"
	c.installed[0].Schedule.Window = []string{} // is what no window is
	c.pass(at(t, "2026-01-03T20:00:30Z"))
	require.Zero(t, c.entry().Missed, "the new times count from now on")
	c.pass(at(t, "2026-01-03T20:05:00Z"))
	require.Len(t, c.started, 1)

	kept := c.installed
	c.installed, c.problems = nil, []schedule.SourceProblem{{Source: "configmap/a", Text: "a.hcl:1: no such block"}}
	c.pass(at(t, "2026-01-03T20:06:00Z"))
	require.True(t, c.entry().Next.IsZero(), "nobody knows")
	c.installed, c.problems = kept, nil
	c.pass(at(t, "2026-01-03T20:16:30Z"))
	require.Len(t, c.started, 2, "20:15, which is less than the grace ago or late")
	require.Equal(t, 1, c.entry().Missed, "20:10, while the file was invalid")

	c.sources, c.installed = nil, nil
	c.pass(at(t, "2026-01-03T20:17:00Z"))
	require.Empty(t, c.book().Entries)
	c.installed = kept
	c.runs = append(c.runs, schedule.Run{Drill: "another", For: at(t, "2026-01-03T20:20:00Z"), Name: "r", Finished: false})
	c.pass(at(t, "2026-01-03T20:19:30Z"))
	require.Equal(t, at(t, "2026-01-03T20:15:00Z"), c.entry().Last.UTC(), "the records know")
	c.pass(at(t, "2026-01-03T20:20:00Z"))
	require.Len(t, c.started, 3, "another drill's run is no obstacle")
}

func TestTheSecondOfTwoWithOneNameIsNamed(t *testing.T) {
	c := newCluster(t, "@daily", drill.MissedSkip)
	c.installed = append(c.installed, schedule.Installed{Drill: "d", Source: "configmap/b", Schedule: c.installed[0].Schedule})
	c.pass(at(t, "2026-01-01T09:00:00Z"))
	require.Equal(t, "configmap/a", c.entry().Source)
	require.Len(t, c.book().Problems, 1)
	require.Equal(t, "configmap/b", c.book().Problems[0].Source)
	require.Contains(t, c.book().Problems[0].Text, "configmap/a")
}

func TestWhatCannotBeStartedIsTriedAgainAndThenCounted(t *testing.T) {
	c := newCluster(t, "0 10 * * *", drill.MissedSkip)
	c.pass(at(t, "2026-01-01T09:59:00Z"))
	fail := func(now string) {
		read := c.saved
		b, starts := c.begin(at(t, now))
		require.Len(t, starts, 1)
		require.True(t, b.Pending(at(t, now)))
		b.Intend(starts[0], "r", "token")
		b.Failed(starts[0], "the API server does not answer")
		c.save(b, read)
	}
	fail("2026-01-01T10:00:00Z")
	fail("2026-01-01T10:00:30Z")
	require.Equal(t, "the API server does not answer", c.entry().Trouble(time.Now()))
	c.pass(at(t, "2026-01-01T10:01:01Z"))
	require.Empty(t, c.started)
	require.Equal(t, 1, c.entry().Missed)
	require.Equal(t, "the API server does not answer", c.entry().Newest.Reason)
	require.Empty(t, c.entry().Problem)
}

func TestAnOpenIntentKeepsItsDrillFromBeingDecided(t *testing.T) {
	c := newCluster(t, "*/2 * * * *", drill.MissedRunLate)
	c.installed = append(c.installed, schedule.Installed{Drill: "e", Source: "configmap/a", Schedule: c.installed[0].Schedule})
	c.pass(at(t, "2026-01-01T00:01:00Z"))
	read := c.saved
	b, starts := c.begin(at(t, "2026-01-01T00:02:00Z"))
	require.Len(t, starts, 2)
	b.Intend(starts[0], "r", "token")
	c.save(b, read)

	now := at(t, "2026-01-01T00:04:30Z")
	b, starts = c.begin(now)
	require.Len(t, starts, 1)
	require.Equal(t, "e", starts[0].Drill, "the other drill is not kept waiting")
	require.Equal(t, schedule.Intent{For: at(t, "2026-01-01T00:02:00Z"), Run: "r", Token: "token"}, *b.Entries[0].Intent)
	require.Zero(t, b.Entries[0].Missed)
	require.True(t, b.Pending(at(t, "2026-01-01T00:02:01Z")), "somebody must settle it")

	first := schedule.Start{Drill: "d", For: at(t, "2026-01-01T00:02:00Z")}
	b.Lost(first, "the server stopped")
	require.Nil(t, b.Entries[0].Intent)
	require.Equal(t, schedule.Miss{At: first.For, Reason: "the server stopped"}, *b.Entries[0].Newest)
	starts = b.Decide(now, nil)
	require.Equal(t, schedule.Start{Drill: "d", For: at(t, "2026-01-01T00:04:00Z")}, starts[0], "what is lost is not run late")
	require.Equal(t, 1, b.Entries[0].Missed)
	b.Intend(starts[0], "r2", "token2")
	b.Withdraw("d")
	require.Equal(t, starts[0], b.Decide(now, nil)[0], "what was withdrawn is still due")
}

func TestAChangedScheduleDoesNotReopenWhatIsIntended(t *testing.T) {
	c := newCluster(t, "*/2 * * * *", drill.MissedSkip)
	c.pass(at(t, "2026-01-01T00:01:00Z"))
	c.passUntil(at(t, "2026-01-01T00:02:00Z"), intended)
	c.installed[0].Schedule.Cron = "* * * * *"
	b := c.book()
	b.Update(at(t, "2026-01-01T00:01:30Z"), c.sources, nil, c.installed) // by another server, whose clock is behind
	require.Equal(t, at(t, "2026-01-01T00:02:00Z"), b.Entries[0].Handled)
}
