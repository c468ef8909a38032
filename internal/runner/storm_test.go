package runner

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/test/bubble"
)

// storm lets things go wrong at random, several in one run.
type storm struct {
	*stage
	rng    *rand.Rand
	cancel context.CancelCauseFunc
	taken  bool     // the lock
	what   []string // went wrong
}

// strike makes each of the first few calls of a hook go wrong with a probability.
func (s *storm) strike(chance float64, hooks ...string) {
	for _, hook := range hooks {
		calls := 0
		s.hooks[hook] = func(ctx context.Context) error {
			if calls++; calls > 4 || s.rng.Float64() > chance {
				return nil
			}
			return s.mishap(ctx, hook, s.rng.IntN(8))
		}
	}
}

func (s *storm) mishap(ctx context.Context, hook string, kind int) error {
	s.what = append(s.what, fmt.Sprintf("%s: %d", hook, kind))
	switch kind {
	case 0:
		return errors.New("boom")
	case 1:
		panic("boom")
	case 2:
		return &drill.Refusal{Code: "no", Text: "No"}
	case 3:
		return fmt.Errorf("gone: %w", drill.ErrVictimChanged)
	case 4:
		return fmt.Errorf("no proof: %w", drill.ErrNotConfirmed)
	case 5:
		s.cancel(errors.New("ctrl-c"))
		return nil
	case 6:
		if !s.taken {
			s.taken = true
			close(s.lost)
		}
		return nil
	}
	select { // it is slow
	case <-time.After(time.Duration(s.rng.IntN(30000)) * time.Millisecond):
	case <-ctx.Done():
	}
	return ctx.Err()
}

func (s *storm) config() Config {
	s.cut.prepares = s.rng.IntN(2) == 0
	s.cut.hold = time.Duration(s.rng.IntN(60)) * time.Second
	s.outage = time.Duration(1+s.rng.IntN(30)) * time.Second
	s.lost = make(chan struct{})
	if s.rng.IntN(2) == 0 {
		s.follow()
	}
	s.strike(0.03, "preflight", "open", "plan", "prepare", "recheck", "journal of injecting orders", "inject", "confirm", "held", "readback", "close")
	s.strike(0.1, "cut: plan", "cut: prepare", "cut: recheck", "journal of preparing cut", "journal of injecting cut", "cut: inject", "cut: confirm", "cut: held")
	s.strike(0.5, "revert", "cut: revert")
	c := s.stage.config()
	c.Faults[1].After = time.Duration(s.rng.IntN(60)) * time.Second
	if s.rng.IntN(5) == 0 {
		c.Drill.Timeout = time.Duration(10+s.rng.IntN(100)) * time.Second
	}
	return c
}

// TestEverythingIsPutBack whatever goes wrong, and in whatever company; and the report says of it what is true.
func TestEverythingIsPutBack(t *testing.T) {
	seen := map[drill.Verdict]bool{}
	for seed := range uint64(80) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				s := &storm{stage: newStage(), rng: rand.New(rand.NewPCG(seed, 1)), cancel: cancel}
				rep := Run(ctx, s.config())
				seen[rep.Run.Verdict] = true
				t.Log(s.what, rep.Run.Verdict, rep.Run.Reasons)
				s.world.checkClean(t)
				require.False(t, s.cut.on || s.cut.made)
				require.Equal(t, rep.Run.Verdict == drill.VerdictAborted, rep.Abort.Fired)
				for _, f := range rep.Faults {
					require.Empty(t, f.Residue)
					require.True(t, f.Reverted || f.InjectedOffset == nil)
					require.True(t, f.Confirmed || rep.Run.Verdict != drill.VerdictPassed)
					require.True(t, f.InjectedOffset == nil || rep.Run.Verdict != drill.VerdictRefused)
				}
			})
		})
	}
	require.GreaterOrEqual(t, len(seen), 5, "it goes wrong in many ways: %v", seen)
}
