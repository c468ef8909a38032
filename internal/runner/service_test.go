package runner

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/test/bubble"
)

// service is a world without roles and without a ledger: its fault takes the only pod away for the outage.
type service struct {
	w *world
}

func (s service) Name() string { return "orders" }
func (s service) Open(context.Context) ([]drill.Member, error) {
	return []drill.Member{{Name: "orders-0", UID: "uid-orders-0"}}, nil
}
func (s service) Probes() []drill.Probe           { return nil }
func (s service) Close(ctx context.Context) error { return s.w.Close(ctx) }

func (s service) WatchMembers(ctx context.Context, changed func(drill.Readiness)) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	last := "?"
	for ctx.Err() == nil {
		if now := s.w.primary(); now != last {
			last = now
			r := drill.Readiness{Target: "orders", Desired: 1}
			if now != "" {
				r.Endpoints = []drill.Member{{Name: now, UID: "uid-" + now}}
				r.Ready = r.Endpoints
			}
			changed(r)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return nil
}

// client is answered while there is a pod.
type client struct {
	w     *world
	every time.Duration
}

func (c client) Info() drill.ProbeInfo {
	return drill.ProbeInfo{Name: "client", Kind: "http", Class: drill.ClassFresh, Interval: c.every, Deadline: 500 * time.Millisecond, Sessions: 10}
}

func (c client) Sample(_ context.Context, s *drill.Sample) {
	s.Outcome, s.Signal = drill.OutcomeOK, ""
	if c.w.primary() == "" {
		s.Outcome, s.Signal = drill.OutcomeFail, drill.SignalRefused
	}
}

func (w *world) serviceConfig() Config {
	c := w.config()
	c.Target, c.Settings.NoLedger, c.Probes = service{w}, true, []drill.Probe{client{w, 50 * time.Millisecond}}
	c.Drill.Objectives = []drill.Objective{{Name: drill.ObjectiveRecoveryTime, Limit: 60}, {Name: drill.ObjectiveRedundancyTime, Limit: 60}}
	return c
}

func TestServiceRun(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		rep := Run(t.Context(), w.serviceConfig())
		require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
		require.Equal(t, drill.OutcomeReplaced, rep.Recovery.Outcome)
		require.InDelta(t, 8, float64(rep.Recovery.Estimate.Estimate), 0.1)
		require.InDelta(t, 8, float64(*rep.Recovery.Redundancy), 0.2)
		require.Equal(t, 0, *rep.Endpoints.LeastReady)
		require.Empty(t, rep.Unknown)
		require.NotContains(t, w.calls, "readback", "there is no ledger to read back")
		w.checkClean(t)
	})
}

func TestServiceRunAborts(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		w.outage = time.Hour
		rep := Run(t.Context(), w.serviceConfig())
		require.Equal(t, drill.VerdictAborted, rep.Run.Verdict, "%+v", rep.Run.Reasons)
		w.checkClean(t)
	})
}

// TestServiceWithoutClients: a run in which nothing stands for clients never gets to its fault.
func TestServiceWithoutClients(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		c := w.serviceConfig()
		c.Probes = nil
		rep := Run(t.Context(), c)
		require.Equal(t, drill.VerdictRefused, rep.Run.Verdict)
		require.Contains(t, rep.Run.Reasons[0].Text, "no probe stands for the target's clients")
		require.NotContains(t, w.calls, "inject")
		w.checkClean(t)
	})
}

// TestInjectRefused: a fault that says that it touched nothing is believed, and its undo runs all the same.
func TestInjectRefused(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		w.hooks["inject"] = func(context.Context) error {
			return &drill.Refusal{Code: "evictions_refused", Text: "The budget allows none."}
		}
		rep := Run(t.Context(), w.config())
		require.Equal(t, drill.VerdictRefused, rep.Run.Verdict, "%+v", rep.Run.Reasons)
		require.Equal(t, []drill.Reason{{Code: "evictions_refused", Text: "The budget allows none."}}, rep.Run.Reasons)
		require.Contains(t, w.calls, "revert")
		require.NotContains(t, w.calls, "readback")
		w.checkClean(t)
	})
}

// TestInjectCurtailed: less was hurt than planned; the run goes on and says so.
func TestInjectCurtailed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		spared := []drill.Member{{Name: "orders-2", UID: "uid-orders-2"}}
		w.hooks["inject"] = func(context.Context) error {
			return &drill.Curtailed{Code: "evictions_refused", Text: "One was kept.", Spared: spared}
		}
		rep := Run(t.Context(), w.config())
		require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
		require.Equal(t, spared, rep.Faults[0].Spared)
		require.Contains(t, rep.Findings, drill.Finding{Severity: "warning", Code: "evictions_refused", Text: "One was kept."})
		w.checkClean(t)
	})
}

// TestASlowProbeGetsItsBaseline: a run with too few answers before the fault would be invalid, so the fault waits for them.
func TestASlowProbeGetsItsBaseline(t *testing.T) {
	for name, tc := range map[string]struct {
		timeout time.Duration
		want    drill.Verdict
	}{
		"in time":     {time.Minute, drill.VerdictPassed},
		"not in time": {15 * time.Second, drill.VerdictRefused},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				w := newWorld()
				c := w.serviceConfig()
				c.Probes = []drill.Probe{client{w, time.Second}}
				c.Drill.SteadyState = drill.SteadyState{Hold: 2 * time.Second, Timeout: tc.timeout}
				rep := Run(t.Context(), c)
				require.Equal(t, tc.want, rep.Run.Verdict, "%+v", rep.Run.Reasons)
				if tc.want == drill.VerdictRefused {
					require.Contains(t, rep.Run.Reasons[0].Text, "20 answers are needed to say how quick is up")
				}
			})
		})
	}
}
