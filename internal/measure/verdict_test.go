package measure

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

func TestVerdicts(t *testing.T) {
	limit := func(name string, l float64) []drill.Objective { return []drill.Objective{{Name: name, Limit: l}} }
	for _, tc := range []struct {
		name    string
		edit    func(*scene)
		verdict drill.Verdict
		code    string
		text    string
	}{
		{name: "passed", verdict: drill.VerdictPassed},
		{name: "refused", edit: func(sc *scene) {
			sc.end_ = &drill.End{Cause: drill.EndRefused, Code: "lag", Text: "c lags."}
			sc.from = 0
		},
			verdict: drill.VerdictRefused, code: "lag", text: "c lags."},
		{name: "aborted", edit: func(sc *scene) {
			sc.end_ = &drill.End{Cause: drill.EndAborted, Code: "abort_condition", Text: "outage"}
		},
			verdict: drill.VerdictAborted, code: "abort_condition"},
		{name: "interrupted", edit: func(sc *scene) { sc.end_ = &drill.End{Cause: drill.EndInterrupted, Code: "interrupted"} },
			verdict: drill.VerdictInterrupted, code: "interrupted"},
		{name: "error", edit: func(sc *scene) { sc.end_ = &drill.End{Cause: drill.EndError, Code: "error"} }, verdict: drill.VerdictError, code: "error"},
		{name: "unconfirmed end", edit: func(sc *scene) { sc.end_ = &drill.End{Cause: drill.EndUnconfirmed, Code: "fault_unconfirmed"} },
			verdict: drill.VerdictInvalid, code: "fault_unconfirmed"},
		{name: "unconfirmed fault", edit: func(sc *scene) { sc.unconfirmed = true }, verdict: drill.VerdictInvalid, code: "fault_unconfirmed"},
		{name: "nothing injected", edit: func(sc *scene) { sc.from = 0 }, verdict: drill.VerdictInvalid, code: "no_fault"},
		{name: "not one write", edit: func(sc *scene) { sc.cuts = []cut{{0, 200 * sec, refused}} }, verdict: drill.VerdictInvalid, code: "no_acknowledged_write"},
		{name: "late prober", edit: func(sc *scene) { sc.late = func(int64) time.Duration { return 21 * ms } }, verdict: drill.VerdictInvalid, code: "late_prober"},
		{name: "unsent", edit: func(sc *scene) {
			sc.edit = func(s *drill.Sample) {
				if s.Class == drill.ClassPooled && s.Slot%10 == 0 {
					s.Outcome, s.Sent = drill.OutcomeUnsent, 0
				}
			}
		}, verdict: drill.VerdictInvalid, code: "unsent_slots"},
		{name: "hardly a baseline", edit: func(sc *scene) { sc.steady = sc.from - 19*20*ms }, verdict: drill.VerdictInvalid, code: "baseline_too_thin",
			text: "Before the fault the probe orders was answered 19 times, and from fewer than 20 answers nobody can say how quick is up. Raise its rate, or hold of steady_state."},
		{name: "enough of a baseline", edit: func(sc *scene) { sc.steady = sc.from - 20*20*ms }, verdict: drill.VerdictPassed},
		{name: "asleep while answers lay there", edit: func(sc *scene) {
			for t := 30 * sec; t < 35*sec; t += 50 * ms {
				sc.events = append(sc.events, drill.Event{Type: drill.EventSamples, Stalls: []drill.Stall{{From: drill.Offset(t), To: drill.Offset(t + 49*ms)}}})
			}
			sc.edit = func(s *drill.Sample) {
				if s.Class == drill.ClassPooled && s.Scheduled > drill.Offset(30*sec) && s.Scheduled < drill.Offset(35*sec) {
					s.Done = s.Scheduled.Add(50 * ms)
				}
			}
		}, verdict: drill.VerdictInvalid, code: "unjudged_slots"},
		{name: "the machine slept", edit: func(sc *scene) {
			sc.events = []drill.Event{{Type: drill.EventSamples, Stalls: []drill.Stall{{From: drill.Offset(30 * sec), To: drill.Offset(30*sec + 5*ms), Slept: true}}}}
		}, verdict: drill.VerdictInvalid, code: "machine_slept"},
		{name: "a clock that goes back", edit: func(sc *scene) {
			sc.edit = func(s *drill.Sample) {
				if s.Class == drill.ClassPooled && s.Slot == 2000 {
					s.Done = s.Sent - 1
				}
			}
		}, verdict: drill.VerdictInvalid, code: "clock_disorder", text: "1 slot of the probe orders ended before it began, so the clock cannot be trusted."},
		{name: "watched too short", edit: func(sc *scene) { sc.end = 60 * sec }, verdict: drill.VerdictInvalid, code: "observation_too_short"},
		{name: "never recovered", edit: func(sc *scene) { sc.cuts[0].to = 200 * sec }, verdict: drill.VerdictFailed, code: "not_recovered"},
		{name: "never recovered and a limit", edit: func(sc *scene) { sc.cuts[0].to = 200 * sec; sc.objectives = limit("recovery_time", 30) },
			verdict: drill.VerdictFailed, code: "objective_missed", text: "Writes never came back, limit 30 s."},
		{name: "too slow", edit: func(sc *scene) { sc.objectives = limit("recovery_time", 5) }, verdict: drill.VerdictFailed, code: "objective_missed",
			text: "Writes came back after 7.99 s (at worst 8.001 s), limit 5 s."},
		{name: "the worse bound judges", edit: func(sc *scene) { sc.objectives = limit("recovery_time", 7.995) }, verdict: drill.VerdictFailed, code: "objective_missed"},
		{name: "fast enough", edit: func(sc *scene) { sc.objectives = limit("recovery_time", 8.01) }, verdict: drill.VerdictPassed},
		{name: "redundancy", edit: func(sc *scene) { sc.objectives = limit("redundancy_time", 10) }, verdict: drill.VerdictFailed, code: "objective_missed"},
		{name: "no redundancy", edit: func(sc *scene) { sc.back = 200 * sec; sc.objectives = limit("redundancy_time", 1000) }, verdict: drill.VerdictFailed,
			code: "objective_missed", text: "Redundancy never came back, limit 1000 s."},
		{name: "lost", edit: func(sc *scene) {
			sc.lost = func(seq int64) bool { return seq == 900 || seq == 910 }
			sc.objectives = limit("lost_writes", 1)
		}, verdict: drill.VerdictFailed, code: "objective_missed", text: "2 acknowledged writes lost, over 0.22 s; limit 1."},
		{name: "lag", edit: func(sc *scene) {
			sc.replication = func(m string, _ time.Duration) time.Duration { return map[string]time.Duration{"c": 2 * sec}[m] }
			sc.objectives = limit("replication_lag", 1)
		}, verdict: drill.VerdictFailed, code: "objective_missed"},
		{name: "leader changes", edit: func(sc *scene) { sc.objectives = limit("leader_changes", 0) }, verdict: drill.VerdictFailed, code: "objective_missed",
			text: "The leader changed 1 time, limit 0."},
		{name: "dual primary", edit: func(sc *scene) { *sc = zombie(30*sec, 1); sc.objectives = limit("dual_primary", 0) }, verdict: drill.VerdictFailed, code: "objective_missed"},
		{name: "no dual primary", edit: func(sc *scene) { sc.objectives = limit("dual_primary", 0) }, verdict: drill.VerdictPassed},
		{name: "phantom", edit: func(sc *scene) {
			sc.readBack = func(b *drill.ReadBack) { hold(b, "b", "orders", 1100) }
		}, verdict: drill.VerdictFailed, code: "phantom_writes", text: "1 write is reported as failed and yet there."},
		{name: "fabricated", edit: func(sc *scene) {
			sc.readBack = func(b *drill.ReadBack) { hold(b, "b", "orders", 99999) }
		}, verdict: drill.VerdictFailed, code: "fabricated_writes"},
		{name: "duplicate", edit: func(sc *scene) {
			sc.readBack = func(b *drill.ReadBack) { hold(b, "b", "orders", 1, 1) }
		}, verdict: drill.VerdictFailed, code: "duplicate_writes"},
		{name: "residue does not change it", edit: func(sc *scene) {
			sc.events = []drill.Event{{At: drill.Offset(80 * sec), Type: drill.EventFault, Fault: &drill.FaultChange{
				Kind: "kill_primary", Name: "orders", State: drill.FaultResidue, Residue: []string{"node w1 is cordoned"}}}}
		}, verdict: drill.VerdictPassed, code: "residue"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sc := failover()
			if tc.edit != nil {
				tc.edit(&sc)
			}
			rep := sc.report()
			require.Equal(t, tc.verdict, rep.Run.Verdict, "%+v", rep.Run.Reasons)
			require.NotNil(t, rep.Run.Reasons)
			if tc.code == "" {
				require.Empty(t, rep.Run.Reasons)
				return
			}
			require.Len(t, rep.Run.Reasons, 1)
			require.Equal(t, tc.code, rep.Run.Reasons[0].Code)
			if tc.text != "" {
				require.Equal(t, tc.text, rep.Run.Reasons[0].Text)
			}
		})
	}
}

func TestARecordWithoutAnEndIsAnError(t *testing.T) {
	rep := Report(drill.Recording{})
	require.Equal(t, drill.VerdictError, rep.Run.Verdict)
	require.Equal(t, []string{"recovery", "writes", "replication_lag", "primaries", "statistics"}, rep.Unknown)
}

func TestAbort(t *testing.T) {
	sc := failover()
	sc.events = []drill.Event{{At: drill.Offset(49800 * ms), Type: drill.EventRule, Rule: &drill.RuleChange{Kind: "abort", Name: "outage", Truth: drill.True, Fired: true, Message: "Too long."}}}
	rep := sc.report()
	require.True(t, rep.Abort.Fired)
	require.Equal(t, "outage", rep.Abort.Rule)
	require.InDelta(t, 0.21, float64(*rep.Abort.Latency), 1e-9, "the fault was reverted at 50.01 s")
}

// TestAnAbortThatLeftSomething did not put everything back, also when what is left is of an injection that never ended.
func TestAnAbortThatLeftSomething(t *testing.T) {
	sc := failover()
	change := func(state drill.FaultState, residue ...string) drill.Event {
		return drill.Event{At: drill.Offset(50020 * ms), Type: drill.EventFault,
			Fault: &drill.FaultChange{Kind: "cut", Name: "cut", State: state, From: drill.Offset(49700 * ms), Residue: residue}}
	}
	sc.events = []drill.Event{{Type: drill.EventPlan, Plans: []drill.FaultPlan{{Kind: "cut", Name: "cut"}}}, change(drill.FaultInjecting),
		{At: drill.Offset(49800 * ms), Type: drill.EventRule, Rule: &drill.RuleChange{Kind: "abort", Name: "outage", Truth: drill.True, Fired: true}},
		change(drill.FaultResidue, "a rule is still there")}
	rep := sc.report()
	require.True(t, rep.Abort.Fired)
	require.Nil(t, rep.Abort.Latency)
	require.Contains(t, rep.Unknown, "abort.latency_seconds")
}
