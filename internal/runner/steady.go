package runner

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// steadiness follows since when the steady state has held without a break.
type steadiness struct {
	r     *run
	begun func() // called when it begins to hold
	holds bool
	since drill.Offset
	why   string // it does not
}

// lasted takes a look, and reports whether the steady state has held for as long as it must, and for as long as it takes
// to know how quick the target's answers are.
func (s *steadiness) lasted(now drill.Offset) bool {
	holds, why := s.r.steadyNow(now)
	if holds && !s.holds {
		s.begun()
		s.since = now
		s.r.step(drill.StepHold) // the baseline begins here, and anew each time
	}
	s.holds, s.why = holds, why
	if !holds || now.Sub(s.since) < s.r.Drill.SteadyState.Hold {
		return false
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	enough, why := s.r.live.Baselined(s.r.Target.Name())
	s.why = why
	return enough
}

// hold waits until the steady state has held without a break, and refuses the run when it does not come.
func (s *steadiness) hold(ctx context.Context) error {
	s.r.step(drill.StepSteady)
	s.why = "no reading yet"
	want := s.r.Drill.SteadyState
	ok, err := s.r.wait(ctx, want.Timeout, s.lasted)
	if err != nil || ok {
		return err
	}
	return s.refusal(fmt.Sprintf("within %s", want.Timeout))
}

// stagger waits for a random part of the drill's stagger, so that faults meet a lease in every phase of it.
func (s *steadiness) stagger(ctx context.Context) error {
	r := s.r
	limit := r.Drill.Stagger
	if limit <= 0 {
		return nil
	}
	delay := rand.N(limit)
	r.emit(drill.Event{Type: drill.EventStep, Step: drill.StepStagger,
		Text:    fmt.Sprintf("Waiting for %.1f s, drawn at random from %s, so that the fault does not always meet the same phase of a lease", delay.Seconds(), limit),
		Stagger: &drill.Stagger{Delay: drill.Seconds(delay.Seconds()), Limit: drill.Seconds(limit.Seconds())}})
	return s.through(ctx, delay, "the random delay")
}

// turn waits until it is the first fault's turn, if it is to come some time after the steady state.
func (s *steadiness) turn(ctx context.Context) error {
	if len(s.r.faults) == 0 || s.r.faults[0].After <= 0 {
		return nil
	}
	f := s.r.faults[0]
	s.r.emit(drill.Event{Type: drill.EventStep, Step: drill.StepAfter, Text: fmt.Sprintf("Waiting for %s until the fault %s", f.After, f)})
	return s.through(ctx, f.After, "the first fault's turn")
}

// again makes sure that the steady state still holds; when it does not, it is waited for once more.
func (s *steadiness) again(ctx context.Context) error { return s.through(ctx, 0, "the last look") }

// through waits for a while, with an eye on the steady state: at the end it must have held as long as ever, or it is
// waited for.
func (s *steadiness) through(ctx context.Context, delay time.Duration, what string) error {
	r := s.r
	due := r.clock.Now().Add(delay)
	ok, err := r.wait(ctx, delay+r.Drill.SteadyState.Timeout, func(now drill.Offset) bool {
		return s.lasted(now) && now >= due
	})
	if err != nil || ok {
		return err
	}
	return s.refusal(fmt.Sprintf("again within %s of %s", r.Drill.SteadyState.Timeout, what))
}

func (s *steadiness) refusal(within string) error {
	hold := s.r.Drill.SteadyState.Hold
	why := s.why
	if why == "" {
		why = fmt.Sprintf("it broke again before it had held for %s", hold)
	}
	return &drill.Refusal{Code: "not_steady", Text: fmt.Sprintf(
		"The steady state did not hold for %s %s: %s. Nothing was injected.", hold, within, why)}
}

// steadyNow evaluates what must hold before a fault: the target's own health, the drill's probes, then its assertions.
func (r *run) steadyNow(now drill.Offset) (holds bool, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ok, why := r.live.Steady(r.Target.Name(), now); !ok {
		return false, why
	}
	if ok, why := r.live.Ready(now); !ok {
		return false, why
	}
	if lag, limited := r.Drill.Limit(drill.ObjectiveReplicationLag); limited {
		if v := r.live.Values(now)["target"][r.Target.Name()]["lag_seconds"]; v > lag {
			return false, fmt.Sprintf("a replica is %.1f s behind, and the objective allows %.1f s", v, lag)
		}
	}
	values := r.live.Values(now)
	for _, a := range r.Drill.SteadyState.Asserts {
		switch truth, message := a.Condition.Evaluate(values); truth {
		case drill.False:
			return false, message
		case drill.Unknown:
			return false, "an assertion of steady_state has no reading yet of all its values: " + message
		}
	}
	return true, ""
}
