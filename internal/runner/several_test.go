package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/test/bubble"
)

// stage is a world with two faults: its own, which kills the primary, and a cut that comes later. It is the journal of
// both, and keeps when everything was called.
type stage struct {
	*world
	cut *cutting

	book   sync.Mutex
	notes  []string                 // in the journal, in order
	active map[string]bool          // by name: whether the journal says that it may be there
	at     map[string]time.Duration // of each call's end, after the injection of the first fault
}

// cutting is a fault that lasts, on whoever is its victim when it is planned.
type cutting struct {
	*stage
	hold     time.Duration
	prepares bool
	victims  func() []string
	node     string

	made, on bool // what it needs is there; it bites
}

func (c *cutting) call(ctx context.Context, what string) error {
	err := c.hook(ctx, "cut: "+what)
	c.note("cut: " + what)
	return err
}

func (s *stage) note(what string) {
	s.book.Lock()
	defer s.book.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.killedAt.IsZero() {
		s.at[what] = time.Since(s.killedAt)
	}
}

func (c *cutting) Plan(ctx context.Context) (json.RawMessage, drill.FaultPlan, error) {
	plan := drill.FaultPlan{Kind: "cut", Name: "cut", Hold: c.hold, Prepares: c.prepares, Nodes: []string{c.node}}
	for _, name := range c.victims() {
		plan.Victims = append(plan.Victims, drill.Member{Namespace: "shop", Name: name, UID: "uid-" + name})
	}
	state, _ := json.Marshal(c.victims())
	return state, plan, c.call(ctx, "plan")
}

func (c *cutting) Prepare(ctx context.Context, _ json.RawMessage) error {
	c.book.Lock()
	stored, twice := c.active["cut"], c.made
	c.made = true
	c.book.Unlock()
	if !stored || twice {
		return errors.New("TEST: prepared before its undo was stored, or twice")
	}
	return c.call(ctx, "prepare")
}

func (c *cutting) Recheck(ctx context.Context, state json.RawMessage) error {
	if now, _ := json.Marshal(c.victims()); string(now) != string(state) {
		return fmt.Errorf("%w: it was %s and is %s", drill.ErrVictimChanged, state, now)
	}
	return c.call(ctx, "recheck")
}

func (c *cutting) Inject(ctx context.Context, state json.RawMessage) error {
	c.book.Lock()
	stored, made := c.active["cut"], c.made
	c.on = true
	c.book.Unlock()
	if !stored || !slices.Contains(c.notes, "injecting cut "+string(state)) {
		return errors.New("TEST: injected before its undo was stored")
	}
	if made != c.prepares {
		return errors.New("TEST: injected without what it needs")
	}
	return c.call(ctx, "inject")
}

func (c *cutting) Confirm(ctx context.Context, _ json.RawMessage) (string, error) {
	return "silence", c.call(ctx, "confirm")
}
func (c *cutting) Held(ctx context.Context, _ json.RawMessage) error { return c.call(ctx, "held") }
func (c *cutting) Broken() error                                     { return nil }
func (c *cutting) Revert(ctx context.Context, _ json.RawMessage) error {
	if ctx.Err() != nil {
		return fmt.Errorf("TEST: revert on a context that is over: %w", ctx.Err())
	}
	if err := c.call(ctx, "revert"); err != nil {
		return err
	}
	c.book.Lock()
	defer c.book.Unlock()
	c.on, c.made = false, false
	return nil
}

func (s *stage) Preparing(ctx context.Context, kind, name string, state json.RawMessage) error {
	return s.write(ctx, "preparing", name, state, true)
}

func (s *stage) Injecting(ctx context.Context, kind, name string, state json.RawMessage) error {
	return s.write(ctx, "injecting", name, state, true)
}

func (s *stage) Reverted(ctx context.Context, kind, name string, residue []string) error {
	return s.write(ctx, "reverted", name, nil, false)
}

func (s *stage) write(ctx context.Context, what, name string, state json.RawMessage, active bool) error {
	if err := s.hook(ctx, "journal of "+what+" "+name); err != nil {
		return err
	}
	s.book.Lock()
	s.notes = append(s.notes, strings.TrimSpace(what+" "+name+" "+string(state)))
	s.active[name] = active
	s.book.Unlock()
	s.note(what + " " + name)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stored, s.journaled = s.stored || what == "preparing" && name == "orders", s.journaled || what == "injecting" && name == "orders"
	return nil
}

// newStage has a kill that lasts for 45 s, and 20 s after it a cut that lasts for 30 s.
func newStage() *stage {
	s := &stage{world: newWorld(), active: map[string]bool{}, at: map[string]time.Duration{}}
	s.cut = &cutting{stage: s, hold: 30 * time.Second, victims: func() []string { return []string{"orders-2"} }, node: "n3"}
	return s
}

func (s *stage) config() Config {
	c := s.world.config()
	c.Journal = s
	c.Faults = append(c.Faults, BoundFault{Kind: "cut", Name: "cut", After: 20 * time.Second, Fault: s.cut})
	return c
}

func (s *stage) checkClean(t *testing.T) {
	t.Helper()
	s.world.checkClean(t)
	require.False(t, s.cut.on, "the cut outlived the run")
	require.False(t, s.cut.made, "what was made for the cut outlived the run")
	for name, active := range s.active {
		require.False(t, active, "the journal says that %s may be there", name)
	}
}

// after asserts how long after the first injection something was called.
func (s *stage) after(t *testing.T, want time.Duration, what string) {
	t.Helper()
	require.InDelta(t, want.Seconds(), s.at[what].Seconds(), 0.11, what)
}

func TestFaultsInOrder(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := newStage()
		rep := Run(t.Context(), s.config())
		require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
		s.after(t, 20*time.Second, "cut: inject")
		s.after(t, 45*time.Second, "reverted orders")
		s.after(t, 50*time.Second, "reverted cut")
		s.after(t, 50*time.Second, "cut: held")
		require.Len(t, rep.Faults, 2)
		for _, f := range rep.Faults {
			require.True(t, f.Confirmed)
			require.True(t, f.Reverted)
			require.NotNil(t, f.InjectedOffset)
		}
		require.InDelta(t, 20, float64(*rep.Faults[1].InjectedOffset-*rep.Faults[0].InjectedOffset), 0.11)
		require.Equal(t, []string{"preparing orders {}", "injecting orders {}", `injecting cut ["orders-2"]`, "reverted orders", "reverted cut"}, s.notes)
		require.Greater(t, time.Since(s.killedAt), 80*time.Second, "the impact of the last fault may come late, too")
		s.checkClean(t)
	})
}

// TestAHoldThatEndsBeforeTheNextFault is reverted on time, and not when the next fault has been injected.
func TestAHoldThatEndsBeforeTheNextFault(t *testing.T) {
	for name, slow := range map[string]string{"while it waits": "", "while it is injected": "cut: inject", "while it is confirmed": "cut: confirm", "while it is journaled": "journal of injecting cut"} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				s := newStage()
				c := s.config()
				c.Faults[1].After = 50 * time.Second
				if slow != "" {
					c.Faults[1].After = 40 * time.Second
					s.hooks[slow] = func(context.Context) error { time.Sleep(9 * time.Second); return nil }
				}
				rep := Run(t.Context(), c)
				require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
				s.after(t, 45*time.Second, "reverted orders")
				require.Greater(t, s.at["cut: confirm"], 45*time.Second)
				s.checkClean(t)
			})
		})
	}
}

func TestRevertsInReverseOrder(t *testing.T) {
	for _, prepares := range []bool{false, true} {
		bubble.Test(t, func(t *testing.T) {
			s := newStage()
			s.cut.prepares = prepares
			ctx, cancel := context.WithCancelCause(t.Context())
			go func() { time.Sleep(30 * time.Second); cancel(errors.New("interrupt")) }() // both are there
			c := s.config()
			if prepares {
				c.Faults[0], c.Faults[1] = c.Faults[1], c.Faults[0] // the cut comes first, and both are prepared
				c.Faults[0].After, c.Faults[1].After = 0, 5*time.Second
			}
			rep := Run(ctx, c)
			require.Equal(t, drill.VerdictInterrupted, rep.Run.Verdict)
			want := []string{"reverted cut", "reverted orders"}
			if prepares {
				slices.Reverse(want)
			}
			require.Equal(t, want, s.notes[len(s.notes)-2:])
			s.checkClean(t)
		})
	}
}

// TestAPreparationIsNoInjection: what was prepared first and injected last is reverted first, and not while it waits.
func TestAPreparationIsNoInjection(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := newStage()
		s.cut.prepares, s.cut.hold = true, 3*time.Second // long over when its turn comes, if it counted from the start
		c := s.config()
		c.Faults[0].Fault = unprepared{worldFault{s.world}}
		rep := Run(t.Context(), c)
		require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
		require.Equal(t, []string{`preparing cut ["orders-2"]`, "injecting orders {}", `injecting cut ["orders-2"]`, "reverted cut", "reverted orders"}, s.notes)
		s.checkClean(t)
	})
	bubble.Test(t, func(t *testing.T) {
		s := newStage()
		s.cut.prepares = true
		c := s.config()
		c.Faults[0].Fault = unprepared{worldFault{s.world}}
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { time.Sleep(30 * time.Second); cancel(errors.New("interrupt")) }() // both are there
		Run(ctx, c)
		require.Equal(t, []string{"reverted cut", "reverted orders"}, s.notes[len(s.notes)-2:])
		s.checkClean(t)
	})
}

// TestTheFirstFaultWaitsToo: its turn is counted from the steady state, which must last through it.
func TestTheFirstFaultWaitsToo(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		c := w.config()
		c.Faults[0].After = 25 * time.Second
		begun := time.Now()
		rep := Run(t.Context(), c)
		require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
		require.InDelta(t, 30.1, w.killedAt.Sub(begun).Seconds(), 0.2, "5 s of steady state, and 25 s")
		w.checkClean(t)
	})
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		c := w.config()
		c.Faults[0].After = 25 * time.Second
		begun := time.Now()
		c.Drill.SteadyState.Asserts = []drill.Rule{{Name: "whole", Condition: when(func() bool { return time.Since(begun) < 10*time.Second })}}
		rep := Run(t.Context(), c)
		require.Equal(t, drill.VerdictRefused, rep.Run.Verdict)
		require.Contains(t, rep.Run.Reasons[0].Text, "again within 30s of the first fault's turn: a replica is not ready")
		require.True(t, w.killedAt.IsZero())
		w.checkClean(t)
	})
}

// TestEveryPhaseOfTheSecondFault goes through every hook, and lets each fail, panic, be interrupted, aborted or refused there.
func TestEveryPhaseOfTheSecondFault(t *testing.T) {
	boom := errors.New("boom")
	phases := []string{"cut: recheck", "cut: plan", "cut: prepare", "journal of preparing cut", "journal of injecting cut", "cut: inject", "cut: confirm", "cut: held"}
	refusable := []string{"cut: recheck", "cut: plan", "cut: prepare", "cut: inject"}
	ends := map[string]struct {
		want drill.Verdict
		hook func(ctx context.Context, cancel context.CancelCauseFunc) error
	}{
		"error": {drill.VerdictError, func(context.Context, context.CancelCauseFunc) error { return boom }},
		"panic": {drill.VerdictError, func(context.Context, context.CancelCauseFunc) error { panic("boom") }},
		"ctrl-c": {drill.VerdictInterrupted, func(ctx context.Context, cancel context.CancelCauseFunc) error {
			cancel(boom)
			<-ctx.Done()
			return ctx.Err()
		}},
		"abort": {drill.VerdictAborted, func(ctx context.Context, _ context.CancelCauseFunc) error { <-ctx.Done(); return ctx.Err() }},
		"refusal": {drill.VerdictInvalid, func(context.Context, context.CancelCauseFunc) error {
			return &drill.Refusal{Code: "no", Text: "Not now"}
		}},
	}
	for _, phase := range phases {
		for name, end := range ends {
			if name == "refusal" && !slices.Contains(refusable, phase) {
				continue
			}
			t.Run(phase+"/"+name, func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					s := newStage()
					s.cut.prepares = true
					if name == "abort" {
						s.outage = time.Hour // the abort condition fires 21 s after the kill, or so
					}
					s.cut.victims = func() []string { // it changes by the kill
						if s.primary() == "orders-0" {
							return []string{"orders-0"}
						}
						return []string{"orders-2"}
					}
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					c := s.config()
					if phase == "cut: held" && name == "abort" {
						s.cut.hold, s.outage = 5*time.Second, 100*time.Second
						c.Drill.Aborts[0].Condition = above{"outage_seconds", 30}
					}
					s.hooks[phase] = func(ctx context.Context) error {
						if s.primary() == "orders-0" {
							return nil // the first plan, before the kill
						}
						return end.hook(ctx, cancel)
					}
					rep := Run(ctx, c)
					require.Equal(t, end.want, rep.Run.Verdict, "%+v", rep.Run.Reasons)
					require.True(t, rep.Faults[0].Reverted)
					require.Empty(t, rep.Faults[0].Residue)
					if name == "refusal" {
						require.Equal(t, "no", rep.Run.Reasons[0].Code)
						require.Contains(t, rep.Run.Reasons[0].Text, `The fault cut "cut" was not injected: `)
						require.Contains(t, rep.Run.Reasons[0].Text, "Not now")
					}
					s.checkClean(t)
				})
			})
		}
	}
}

func TestEndsWhileTheSecondFaultWaits(t *testing.T) {
	for name, tc := range map[string]struct {
		want drill.Verdict
		code string
		set  func(s *stage, c *Config, cancel context.CancelCauseFunc)
	}{
		"ctrl-c": {drill.VerdictInterrupted, "interrupted", func(s *stage, c *Config, cancel context.CancelCauseFunc) {
			go func() { time.Sleep(15 * time.Second); cancel(errors.New("interrupt")) }()
		}},
		"abort": {drill.VerdictAborted, "abort_condition", func(s *stage, c *Config, _ context.CancelCauseFunc) {
			s.outage, c.Faults[1].After = time.Hour, 40*time.Second
		}},
		"lock lost": {drill.VerdictInterrupted, "lock_lost", func(s *stage, c *Config, _ context.CancelCauseFunc) {
			s.lost = make(chan struct{})
			go func() { time.Sleep(15 * time.Second); close(s.lost) }()
		}},
		"timeout": {drill.VerdictInvalid, "timeout", func(s *stage, c *Config, _ context.CancelCauseFunc) { c.Drill.Timeout = 15 * time.Second }},
		"the first did not last": {drill.VerdictInvalid, "fault_unconfirmed", func(s *stage, c *Config, _ context.CancelCauseFunc) {
			c.Faults[1].After = 50 * time.Second
			s.hooks["held"] = func(context.Context) error { return drill.ErrNotConfirmed }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				s := newStage()
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				c := s.config()
				tc.set(s, &c, cancel)
				rep := Run(ctx, c)
				require.Equal(t, tc.want, rep.Run.Verdict, "%+v", rep.Run.Reasons)
				require.Equal(t, tc.code, rep.Run.Reasons[0].Code)
				require.NotContains(t, s.calls, "cut: inject")
				require.True(t, rep.Faults[0].Reverted)
				require.False(t, rep.Faults[1].Confirmed)
				s.checkClean(t)
			})
		})
	}
}

// TestTheFirstBreaksOffWhileTheSecondIsInjected: what is under way is told to end, and has ended before anything is
// reverted.
func TestTheFirstBreaksOffWhileTheSecondIsInjected(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := newStage()
		c := s.config()
		c.Faults[1].After = 40 * time.Second
		s.hooks["held"] = func(context.Context) error { return drill.ErrNotConfirmed }
		over := false
		s.hooks["cut: inject"] = func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(3 * time.Second) // it takes a while to give up
			over = true
			return ctx.Err()
		}
		s.hooks["cut: revert"] = func(context.Context) error { require.True(t, over); return nil }
		rep := Run(t.Context(), c)
		require.Equal(t, drill.VerdictInvalid, rep.Run.Verdict, "%+v", rep.Run.Reasons)
		require.Contains(t, rep.Run.Reasons[0].Text, `kill "orders" did not last`)
		require.Equal(t, []string{"reverted cut", "reverted orders"}, s.notes[len(s.notes)-2:])
		s.checkClean(t)
	})
}

// follower makes the cut's victim the primary's heir, as a role in a drill file does.
func (s *stage) follow() {
	s.cut.victims = func() []string {
		if p := s.primary(); p != "" {
			return []string{p}
		}
		return nil
	}
}

func TestALaterFaultFindsItsVictimAnew(t *testing.T) {
	for _, prepares := range []bool{false, true} {
		bubble.Test(t, func(t *testing.T) {
			s := newStage()
			s.follow()
			s.cut.prepares = prepares
			taken := 0
			s.hooks["lock"] = func(context.Context) error { taken++; return nil }
			rep := Run(t.Context(), s.config())
			require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
			require.Equal(t, 2, taken, "the nodes of the new plan are locked already")
			require.Equal(t, "orders-1", rep.Faults[1].Victims[0].Name, "the report names whom it hurt")
			require.Len(t, rep.Faults[1].Victims, 1)
			want := []string{"preparing orders {}", "injecting orders {}", `injecting cut ["orders-1"]`, "reverted orders", "reverted cut"}
			if prepares {
				want = []string{"preparing orders {}", `preparing cut ["orders-0"]`, "injecting orders {}",
					"reverted cut", `preparing cut ["orders-1"]`, `injecting cut ["orders-1"]`, "reverted orders", "reverted cut"}
			}
			require.Equal(t, want, s.notes)
			require.True(t, rep.Faults[1].Reverted)
			s.checkClean(t)
		})
	}
}

// TestTheFirstFaultIsNeverPlannedAnew: nothing has happened that would excuse it.
func TestTheFirstFaultIsNeverPlannedAnew(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := newStage()
		c := s.config()
		plans := 0
		s.hooks["plan"] = func(context.Context) error { plans++; return nil }
		s.hooks["recheck"] = func(context.Context) error { return drill.ErrVictimChanged }
		rep := Run(t.Context(), c)
		require.Equal(t, drill.VerdictRefused, rep.Run.Verdict)
		require.Equal(t, 1, plans)
		s.checkClean(t)
	})
}

// bounds is a guard that lets so many plans through, and is asked so often whether all is quiet.
type bounds struct {
	allows func(plans []drill.FaultPlan) error
	quiet  func() error
}

func (b bounds) Allows(plans []drill.FaultPlan) error { return b.allows(plans) }
func (b bounds) Quiet(context.Context) error          { return b.quiet() }

func TestAPlanMadeAnewIsBound(t *testing.T) {
	for name, tc := range map[string]struct {
		code string
		set  func(s *stage, c *Config)
	}{
		"nobody is primary": {"victim_changed", func(s *stage, c *Config) { s.outage, c.Drill.Aborts = time.Minute, nil }},
		"more victims": {"more_victims", func(s *stage, c *Config) {
			s.cut.victims = func() []string {
				if s.primary() == "orders-0" {
					return []string{"orders-2"}
				}
				return []string{"orders-1", "orders-2"}
			}
		}},
		"the guard says no": {"guard", func(s *stage, c *Config) {
			c.Guard = bounds{func(plans []drill.FaultPlan) error {
				if len(plans) != 2 || plans[1].Victims[0].Name != "orders-0" {
					return &drill.Refusal{Code: "guard", Text: "Too much"}
				}
				return nil
			}, func() error { return nil }}
		}},
		"another run has the node": {"locked", func(s *stage, c *Config) {
			s.hooks["cut: plan"] = func(context.Context) error { s.cut.node = "n4"; return nil } // its next plan is elsewhere
			s.hooks["lock"] = func(context.Context) error {
				if s.primary() == "orders-0" {
					return nil
				}
				return &drill.Refusal{Code: "locked", Text: "Run x holds node/n4"}
			}
		}},
		"it is planned once": {"victim_changed", func(s *stage, c *Config) {
			n := 0
			s.cut.victims = func() []string { n++; return []string{fmt.Sprintf("orders-%d", n)} }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				s := newStage()
				s.follow()
				c := s.config()
				tc.set(s, &c)
				if name == "nobody is primary" {
					s.hooks["cut: plan"] = func(context.Context) error {
						if s.primary() == "" {
							return fmt.Errorf("%w: nobody says that it is primary", drill.ErrVictimChanged)
						}
						return nil
					}
				}
				rep := Run(t.Context(), c)
				require.Equal(t, drill.VerdictInvalid, rep.Run.Verdict, "%+v", rep.Run.Reasons)
				require.Equal(t, tc.code, rep.Run.Reasons[0].Code, rep.Run.Reasons[0].Text)
				require.Contains(t, rep.Run.Reasons[0].Text, `The fault cut "cut" was not injected`)
				require.NotContains(t, s.calls, "cut: inject")
				require.Nil(t, rep.Faults[1].InjectedOffset)
				s.checkClean(t)
			})
		})
	}
}

// TestNodesOfANewPlanAreLockedToo, and those that the run holds already are not asked for twice.
func TestNodesOfANewPlanAreLockedToo(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := newStage()
		s.follow()
		taken := 0
		s.hooks["lock"] = func(context.Context) error { taken++; return nil }
		s.hooks["cut: plan"] = func(context.Context) error { s.cut.node = "n4"; return nil }
		s.hooks["inject"] = func(context.Context) error { require.Equal(t, 2, taken, "the namespace and the nodes"); return nil }
		rep := Run(t.Context(), s.config())
		require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
		require.Equal(t, 3, taken)
		s.checkClean(t)
	})
}

// TestTheLockOfANewPlanInterrupts: it is watched for as long as the run lasts, and not only while the fault is injected.
func TestTheLockOfANewPlanInterrupts(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := newStage()
		s.follow()
		s.hooks["lock"] = func(context.Context) error {
			if s.primary() != "orders-0" {
				lost := make(chan struct{})
				s.lost = lost
				go func() { time.Sleep(5 * time.Second); close(lost) }()
			}
			return nil
		}
		s.hooks["cut: plan"] = func(context.Context) error { s.cut.node = "n4"; return nil }
		rep := Run(t.Context(), s.config())
		require.Equal(t, drill.VerdictInterrupted, rep.Run.Verdict, "%+v", rep.Run.Reasons)
		require.Equal(t, "lock_lost", rep.Run.Reasons[0].Code)
		s.checkClean(t)
	})
}

// later is a cut that needs nothing made for it at first, and does when it is planned anew.
type later struct{ *cutting }

func (l later) Plan(ctx context.Context) (json.RawMessage, drill.FaultPlan, error) {
	l.prepares = l.primary() != "orders-0"
	return l.cutting.Plan(ctx)
}

func TestWhatANewPlanNeedsIsTakenAway(t *testing.T) {
	for name, hook := range map[string]func(context.Context) error{
		"nothing fails": nil,
		"error":         func(context.Context) error { return errors.New("boom") },
		"panic":         func(context.Context) error { panic("boom") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				s := newStage()
				s.follow()
				c := s.config()
				c.Faults[1].Fault = later{s.cut}
				if hook != nil {
					s.hooks["cut: prepare"] = hook
				}
				rep := Run(t.Context(), c)
				require.Equal(t, hook == nil, rep.Run.Verdict == drill.VerdictPassed, "%+v", rep.Run.Reasons)
				require.Contains(t, s.notes, `preparing cut ["orders-1"]`)
				s.checkClean(t)
			})
		})
	}
}
