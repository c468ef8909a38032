package runner

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/test/bubble"
)

// expiring is a world whose lock and journal say how they are.
type expiring struct {
	*world
	until func() time.Time
	away  func() bool
	notes [][]string
}

func (e *expiring) Until() time.Time { return e.until() }

var errAway = errors.New("no answer from the API server")

func (e *expiring) Answers(ctx context.Context) error {
	if e.away() {
		<-ctx.Done()
		return errAway
	}
	return nil
}

func (e *expiring) Reverted(ctx context.Context, _, _ string, residue []string) error {
	if e.away() {
		<-ctx.Done()
		return errAway
	}
	e.notes = append(e.notes, residue)
	return nil
}

func newExpiring() (*expiring, Config) {
	e := &expiring{world: newWorld(), until: func() time.Time { return time.Now().Add(10 * time.Second) }, away: func() bool { return false }}
	c := e.config()
	c.Journal, c.Lock = e, e
	return e, c
}

// T11: a runner that stalled between its journal entry and the deed was given up, its run ended, and then its old request
// cordoned a node of which no record knew.
func TestT11AStallAfterTheJournalEntryInjectsNothing(t *testing.T) {
	for name, stall := range map[string]func(e *expiring){
		"the entry took too long": func(e *expiring) {
			e.hooks["journal"] = func(context.Context) error { time.Sleep(beginWithin); return nil }
		},
		"the lock ran out": func(e *expiring) {
			until := time.Now().Add(time.Hour)
			e.until = func() time.Time { return until }
			e.hooks["journal"] = func(context.Context) error { until = time.Now(); return nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				e, c := newExpiring()
				stall(e)
				rep := Run(t.Context(), c)
				require.Equal(t, drill.VerdictError, rep.Run.Verdict)
				require.Contains(t, rep.Run.Reasons[0].Text, "was not injected")
				require.NotContains(t, e.calls, "inject")
				require.Contains(t, e.calls, "revert", "its entry says that it may be there")
				require.Equal(t, [][]string{nil}, e.notes)
				e.checkClean(t)
			})
		})
	}
}

// T11: a request of an injection ends before the server believes that nothing more comes.
func TestT11TheRequestsOfAnInjectionEnd(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		e, c := newExpiring()
		var entered, ended time.Time
		e.hooks["journal"] = func(context.Context) error { entered = time.Now(); time.Sleep(3 * time.Second); return nil }
		e.hooks["inject"] = func(ctx context.Context) error { <-ctx.Done(); ended = time.Now(); return context.Cause(ctx) }
		rep := Run(t.Context(), c)
		require.Equal(t, InjectionWithin, ended.Sub(entered))
		require.Equal(t, drill.VerdictError, rep.Run.Verdict)
		require.Contains(t, rep.Run.Reasons[0].Text, "took longer")
		e.checkClean(t)
	})
}

// T5: with the API server away for longer than a revert is tried, nothing is residue: somebody reverts when it is back.
func TestT5AnAPIServerThatIsAwayMakesNoResidue(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		e, c := newExpiring()
		gone := false
		e.away = func() bool { return gone }
		e.hooks["confirm"] = func(context.Context) error { gone = true; return errAway }
		e.hooks["revert"] = func(context.Context) error { return errAway }
		began := time.Now()
		rep := Run(t.Context(), c)
		require.False(t, rep.HasResidue())
		require.False(t, rep.Faults[0].Reverted)
		require.True(t, slices.ContainsFunc(rep.Findings, func(f drill.Finding) bool { return f.Code == "not_reverted" }))
		require.Empty(t, e.notes, "its entry stays open")
		require.Less(t, time.Since(began), 4*time.Minute)
	})
}

// T5: an API server that comes back while the journal is asked is believed, and the fault tried once more.
func TestT5TheLastTryComesAfterTheAnswer(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		e, c := newExpiring()
		back := time.Time{}
		e.hooks["inject"] = func(context.Context) error {
			back = time.Now().Add(45*time.Second + revertTimeout + 5*time.Second)
			return nil
		}
		e.away = func() bool { time.Sleep(8 * time.Second); return time.Now().Before(back) }
		e.hooks["revert"] = func(context.Context) error {
			if time.Now().Before(back) {
				return errAway
			}
			return nil
		}
		c.Drill.Timeout = time.Hour
		rep := Run(t.Context(), c)
		require.False(t, rep.HasResidue())
		require.True(t, rep.Faults[0].Reverted)
		require.Equal(t, [][]string{nil}, e.notes)
	})
}

// A fault that stays although everybody answers is residue, as ever.
func TestWhatStaysAlthoughTheJournalAnswersIsResidue(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		e, c := newExpiring()
		e.hooks["revert"] = func(context.Context) error { return errors.New("node n1 is away") }
		rep := Run(t.Context(), c)
		require.True(t, rep.HasResidue())
		require.Equal(t, [][]string{{"node n1 is away"}}, e.notes)
	})
}

// A process that is about to be killed says how its run went before it is.
func TestRevertingIsShortBeforeTheProcessIsKilled(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		e, c := newExpiring()
		leaving := make(chan struct{})
		c.Leaving = leaving
		ctx, cancel := context.WithCancelCause(t.Context())
		var asked time.Time
		e.hooks["confirm"] = func(context.Context) error {
			asked = time.Now()
			cancel(errors.New("terminated"))
			close(leaving)
			return nil
		}
		e.hooks["revert"] = func(context.Context) error { return errAway }
		e.away = func() bool { return true }
		rep := Run(ctx, c)
		require.Equal(t, drill.VerdictInterrupted, rep.Run.Verdict)
		require.Less(t, time.Since(asked), time.Minute)
	})
}

// T16: a lock that is lost when every fault is reverted ends no measurement: no other run may begin before this one ends.
func TestT16ALostLockEndsNoMeasurement(t *testing.T) {
	for name, c := range map[string]struct {
		after time.Duration
		want  drill.Verdict
	}{
		"while the fault lasts": {20 * time.Second, drill.VerdictInterrupted},
		"when it is reverted":   {55 * time.Second, drill.VerdictPassed},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				w := newWorld()
				w.lost = make(chan struct{})
				w.hooks["inject"] = func(context.Context) error {
					time.AfterFunc(c.after, func() { close(w.lost) })
					return nil
				}
				rep := Run(t.Context(), w.config())
				require.Equal(t, c.want, rep.Run.Verdict, "%+v", rep.Run.Reasons)
				require.Equal(t, c.want == drill.VerdictPassed, slices.ContainsFunc(rep.Findings, func(f drill.Finding) bool { return f.Code == "lock_lost" }))
				w.checkClean(t)
			})
		})
	}
}
