package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// failover is a passed run of which clients noticed 2.2 s, and nothing else.
func failover() drill.Report {
	r := passed()
	rec := *r.Recovery
	rec.Estimate = drill.Estimate{Estimate: 2.2, Lower: 2.19, Upper: 2.23}
	rec.FirstSuccess, rec.Unavailable, rec.Failed, rec.Slow, rec.LongestOutage = new(drill.Seconds(2.2)), 2.2, 2.1, 0.1, 2.18
	rec.Outages = []drill.OutageReport{{Start: 0.02, Seconds: 2.18, Kind: drill.OutageFailed, DownSlots: 110, Fault: "kill_primary orders"}}
	rec.Blips, rec.Phases = drill.BlipsReport{}, nil
	rec.ByClass = map[drill.Class]drill.Estimate{drill.ClassPooled: rec.Estimate, drill.ClassFresh: {Estimate: 2.25, Lower: 2.2, Upper: 2.4}}
	rec.LateRatio = drill.LateRatio{Before: new(0.0), After: new(0.0)}
	r.Recovery = &rec
	return r
}

func backAfter(r *drill.Report, e drill.Estimate) {
	r.Recovery.Estimate, r.Recovery.ByClass[drill.ClassPooled] = e, e
}

// relapsed was out a second time, long after the first write.
func relapsed() drill.Report {
	r := failover()
	r.Run.Verdict = drill.VerdictFailed
	r.Run.Reasons = []drill.Reason{{Code: "objective_missed", Objective: "recovery_time",
		Text: "Writes came back after 41.2 s (at worst 41.2 s), limit 30 s: out for 2.2 s by the fault, and again for 1 s from 40.2 s on."}}
	backAfter(&r, drill.Estimate{Estimate: 41.2, Lower: 41.19, Upper: 41.23})
	r.Recovery.Outages = append(r.Recovery.Outages, drill.OutageReport{Start: 40.2, Seconds: 1, Kind: drill.OutageFailed, DownSlots: 50, Fault: "kill_primary orders"})
	r.Recovery.Flaps, r.Recovery.Unavailable, r.Recovery.Failed = 1, 3.2, 3.1
	r.Recovery.Blips = drill.BlipsReport{Count: 3, Seconds: 0.12, Longest: 0.06}
	return r
}

// freshNever is W4: nobody who connects can write, for ever.
func freshNever() drill.Report {
	r := failover()
	r.Run.Verdict = drill.VerdictFailed
	r.Run.Reasons = []drill.Reason{{Code: "objective_missed", Objective: "lost_writes", Cause: drill.CauseLag, Text: "A replica was behind."},
		{Code: "objective_missed", Objective: "recovery_time", Cause: drill.CauseFresh, Text: "New connections never could write again, limit 30 s."}}
	r.Recovery.ByClass[drill.ClassFresh] = drill.Estimate{Estimate: drill.Never(), Lower: 68.9, Upper: drill.Never()}
	r.Objectives = []drill.ObjectiveReport{
		{Name: "recovery_time", LimitSeconds: new(drill.Seconds(30)), ValueSeconds: new(drill.Never()), JudgedBy: "by_class.fresh.upper_seconds"},
		{Name: "unavailable", LimitSeconds: new(drill.Seconds(5)), ValueSeconds: new(drill.Seconds(2.2)), JudgedBy: "unavailable_seconds", Met: true},
		{Name: "failed_over", Want: "failed_over", Got: "failed_over", JudgedBy: "outcome", Met: true}}
	return r
}

// slowForEver is W20: every write is acknowledged, in 45 ms.
func slowForEver() drill.Report {
	r := failover()
	r.Run.Verdict = drill.VerdictFailed
	r.Run.Reasons = []drill.Reason{{Code: "objective_missed", Objective: "recovery_time",
		Text: "Writes are acknowledged again after 2.2 s, but take longer than 40 ms ever since (p99 46 ms; before 1.4 ms)."}}
	backAfter(&r, drill.Estimate{Estimate: drill.Never(), Lower: 69.9, Upper: drill.Never()})
	r.Recovery.Outcome = drill.OutcomeNotRecovered
	r.Recovery.Answered = &drill.Estimate{Estimate: 2.2, Lower: 2.19, Upper: 2.23}
	r.Recovery.Outages[0].Seconds, r.Recovery.Outages[0].DownSlots = drill.Never(), 3500
	r.Recovery.Slow, r.Recovery.Unavailable, r.Recovery.LongestOutage = 67.8, 69.9, drill.Never()
	r.Recovery.LateRatio.After = new(1.0)
	r.Recovery.ByClass = map[drill.Class]drill.Estimate{drill.ClassPooled: r.Recovery.Estimate}
	r.Recovery.Redundancy = new(drill.Never())
	r.Objectives = r.Objectives[:1]
	return r
}

// pieces is one broken pod of ten.
func pieces() drill.Report {
	r := replaced()
	r.Run.Verdict = drill.VerdictFailed
	r.Recovery.Estimate = drill.Estimate{Estimate: 22.2, Lower: 22.15, Upper: 22.95}
	r.Recovery.Outages = []drill.OutageReport{{Start: 0.1, Seconds: 22.1, Kind: drill.OutagePieces, DownSlots: 44, Fault: "pod_kill checkout"}}
	r.Recovery.LongestOutage, r.Recovery.Unavailable, r.Recovery.Failed = 22.1, 2.2, 2.2
	r.Recovery.Blips = drill.BlipsReport{Count: 1, Seconds: 0.05, Longest: 0.05}
	return r
}

// unwhole passed, and yet a reader must not think that all is well.
func unwhole() drill.Report {
	r := failover()
	r.Recovery.Redundancy = new(drill.Never())
	r.Writes.Lost, r.Writes.LostSpan = new(25), new(drill.Seconds(0.5))
	r.Primaries = &drill.PrimariesReport{LeaderChanges: 1, DualPrimary: 1.5}
	r.Objectives = r.Objectives[:1]
	r.Recovery.LateRatio = drill.LateRatio{Before: new(0.001), After: new(0.052)}
	r.Findings = []drill.Finding{{Severity: "warning", Code: "slower_than_before", Text: "5.2 % of the writes take longer than 40 ms since the recovery; before the fault it was 0.1 %."}}
	return r
}

// versionOne is a report as it was recorded before there were outages and blips.
func versionOne() drill.Report {
	r := passed()
	r.FormatVersion = "1"
	rec := *r.Recovery
	rec.Outages, rec.Blips, rec.Blip, rec.LongestOutage, rec.Failed, rec.Slow = nil, drill.BlipsReport{}, 0, 0, 0, 0
	rec.Unavailable, rec.Degraded, rec.Flaps = 12.34, 0.06, 2
	r.Recovery = &rec
	return r
}

// flapping is out for a moment every nine seconds, for ever.
func flapping() drill.Report {
	r := failover()
	r.Run.Verdict = drill.VerdictFailed
	backAfter(&r, drill.Estimate{Estimate: drill.Never(), Lower: 101.3, Upper: drill.Never()})
	r.Recovery.ByClass[drill.ClassFresh] = r.Recovery.Estimate
	r.Recovery.Outcome, r.Recovery.Flaps, r.Recovery.LongestOutage = drill.OutcomeNotRecovered, 11, drill.Never()
	for i := range 11 {
		o := drill.OutageReport{Start: drill.Seconds(11 + 9*i), Seconds: 0.3, Kind: drill.OutageFailed, DownSlots: 15, Fault: "kill_primary orders"}
		if i == 10 {
			o.Seconds = drill.Never()
		}
		r.Recovery.Outages = append(r.Recovery.Outages, o)
	}
	return r
}

// misleading are runs whose one number, shown alone, would be taken for something else.
func misleading() map[string]drill.Report {
	return map[string]drill.Report{"relapsed": relapsed(), "fresh_never": freshNever(), "slow_for_ever": slowForEver(), "pieces": pieces(),
		"unwhole": unwhole(), "version_1": versionOne(), "flapping": flapping()}
}

// head is what the text says above the reasons.
func head(t *testing.T, r drill.Report) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, Text(&b, r, Style{}))
	parts := strings.SplitN(b.String(), "\n\n", 3)
	require.Len(t, parts, 3)
	return parts[1]
}

// TestWhatStandsAtTheTopIsTrue: most readers read no further.
func TestWhatStandsAtTheTopIsTrue(t *testing.T) {
	edit := func(r drill.Report, edits ...func(*drill.Report)) drill.Report {
		rec := *r.Recovery
		r.Recovery = &rec
		for _, e := range edits {
			e(&r)
		}
		return r
	}
	fresh := func(e drill.Estimate) func(*drill.Report) {
		return func(r *drill.Report) {
			r.Recovery.ByClass = map[drill.Class]drill.Estimate{drill.ClassPooled: r.Recovery.Estimate, drill.ClassFresh: e}
		}
	}
	outages := func(os ...drill.OutageReport) func(*drill.Report) {
		return func(r *drill.Report) { r.Recovery.Outages = os }
	}
	forever := drill.Estimate{Estimate: drill.Never(), Lower: 68, Upper: drill.Never()}
	first, again := drill.OutageReport{Start: 0.02, Seconds: 2.18}, drill.OutageReport{Start: 40.2, Seconds: 1}
	slow, readOnly := again, again
	slow.Kind, readOnly.Kind = drill.OutageSlow, drill.OutageReadOnly
	short := func(r *drill.Report) {
		r.Run.Verdict, r.Recovery.Outcome = drill.VerdictInvalid, drill.OutcomeNotRecovered
		r.Recovery.Estimate = drill.Estimate{Estimate: drill.Never(), Lower: 2.19, Upper: drill.Never()}
		r.Recovery.ByClass = nil
	}
	invalid := "\n  The run is invalid: do not rely on these numbers."
	plain := "  Writes back after 2.20 s  [2.19, 2.23]   failed over to another member"
	pooled := "  Writes over open sessions back after 2.20 s  [2.19, 2.23]   failed over to another member\n"
	for name, c := range map[string]struct {
		r    drill.Report
		want string
	}{
		"a failover":      {failover(), plain},
		"a second outage": {edit(failover(), outages(first, again)), plain + "\n  Out for 2.18 s by the fault, and again for 1.00 s from 40.20 s on."},
		"a late one":      {edit(failover(), outages(again)), plain + "\n  Out for 1.00 s from 40.20 s on."},
		"of another kind": {edit(failover(), outages(first, slow)), plain + "\n  Out for 2.18 s by the fault, and too slow for 1.00 s from 40.20 s on."},
		"read-only":       {edit(failover(), outages(readOnly)), plain + "\n  Read-only for 1.00 s from 40.20 s on."},
		"watched too short": {edit(failover(), outages(first), short),
			"  Writes were back at the end, but watched too briefly; last seen failing 2.19 s after the fault" + invalid},
		"watched for long enough": {edit(failover(), outages(first), short, func(r *drill.Report) { r.Run.Verdict = drill.VerdictFailed }),
			"  Writes never came back for good; last seen failing 2.19 s after the fault"},
		"three":            {edit(failover(), outages(first, first, again)), plain + "\n  Out 3 times: the longest for 2.18 s, the last for 1.00 s from 40.20 s on."},
		"flaps for ever":   {flapping(), "  Writes never came back for good; last seen failing 101.30 s after the fault\n  Out 12 times, at last from 101.00 s on, to the end."},
		"fresh is as good": {edit(failover(), fresh(drill.Estimate{Estimate: 2.25, Lower: 2.2, Upper: 2.4})), plain},
		"fresh is worse": {edit(failover(), fresh(drill.Estimate{Estimate: 34, Lower: 33.9, Upper: 34.1})),
			pooled + "  New connections could write only after 34.00 s  [33.90, 34.10]"},
		"fresh never": {edit(failover(), fresh(forever)), pooled + "  New connections never could write again; last seen failing 68.00 s after the fault"},
		"no impact, fresh never": {edit(reports()["no_impact"], fresh(forever), func(r *drill.Report) { r.Run.Verdict = drill.VerdictFailed }),
			"  No outage was seen over open sessions; the longest blip took 0.060 s; one shorter than 0.12 s could have been missed\n" +
				"  Nothing failed over: the same member leads.\n  New connections never could write again; last seen failing 68.00 s after the fault"},
		"pooled never": {edit(slowForEver(), fresh(drill.Estimate{Estimate: 3, Lower: 2.9, Upper: 3.1}), func(r *drill.Report) { r.Recovery.Answered = nil }),
			"  Writes over open sessions never came back; last seen failing 69.90 s after the fault\n  New connections could write after 3.00 s  [2.90, 3.10]"},
		"slow for ever": {slowForEver(), "  Writes are acknowledged again after 2.20 s  [2.19, 2.23], but take longer than 40 ms ever since"},
		"a third is slow for ever": {edit(slowForEver(), func(r *drill.Report) { r.Recovery.LateRatio.After = new(0.301) }),
			"  Writes are acknowledged again after 2.20 s  [2.19, 2.23],\n  but 30 % of them take longer than 40 ms ever since"},
		"slow, never gone": {edit(slowForEver(), func(r *drill.Report) { r.Recovery.Answered = &drill.Estimate{Upper: 0.06} }),
			"  Writes are acknowledged all the time, but take longer than 40 ms ever since"},
		"blind after it": {edit(failover(), func(r *drill.Report) {
			r.Recovery.Upper, r.Findings = 33.01, []drill.Finding{{Code: "blind_stretch"}}
		}), "  Writes back after 2.20 s  [2.19, 33.01]   failed over to another member\n" +
			"  drill could not watch for a while: an outage until 33.01 s could have been missed."},
		"one of ten fails for ever": {edit(failover(), outages(drill.OutageReport{Start: 4.1, Seconds: drill.Never(), Kind: drill.OutagePieces, DownSlots: 1730}),
			func(r *drill.Report) { short(r); r.Run.Verdict = drill.VerdictFailed }),
			"  Writes never came back for good; last seen failing 2.19 s after the fault\n" +
				"  Out in pieces from 4.10 s on, to the end: 1730 writes failed or came late, with answers in time\n  between them."},
		"aborted": {edit(reports()["never"]), "  Writes were not back for good when the run was aborted; last seen failing 95.02 s after the fault"},
		"three faults": {several(), "  Writes were not back for good when the run was aborted; last seen failing 137.90 s after the fault\n" +
			"  Out for 7.99 s after kill_primary orders, and again from 47.04 s on, to the end."},
		"passed, not whole": {unwhole(), plain + "\n  Since then, 5.2 % of the writes took longer than 40 ms; before the fault it was 0.1 %.\n" +
			"  ! Redundancy never came back while drill watched: the next fault may be fatal.\n" +
			"  ! 25 acknowledged writes are lost.\n  ! Two members accepted writes at the same time, for 1.50 s."},
		"an objective allows it": {edit(unwhole(), func(r *drill.Report) {
			r.Findings, r.Objectives = nil, []drill.ObjectiveReport{{Name: "lost_writes", Met: true}, {Name: "dual_primary", Met: true}, {Name: "redundancy_time"}}
		}), plain},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, head(t, c.r)) })
	}
}

// TestWhatTheDrillExpectsIsNoResult: a description that stands among the results would be read as one.
func TestWhatTheDrillExpectsIsNoResult(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, Text(&b, reports()["failed"], Style{}))
	lines := strings.Split(b.String(), "\n")
	require.NotContains(t, strings.Join(lines[:5], "\n"), "no acknowledged write is lost")
	require.Contains(t, b.String(), "\n  The drill expects: The primary dies.")
}

// TestAShortenedListOfOutages: the record in the cluster keeps ten, and the text must not say that there were ten.
func TestAShortenedListOfOutages(t *testing.T) {
	whole, shortened := flapping(), flapping()
	var want, got bytes.Buffer
	require.NoError(t, Text(&want, whole, Style{}))
	shortened.Recovery.Outages = append(shortened.Recovery.Outages[:9:9], shortened.Recovery.Outages[11])
	require.NoError(t, Text(&got, shortened, Style{}))
	require.Equal(t, want.String(), got.String())
	require.Contains(t, got.String(), "    and 2 more\n    12        101.00 s    the end")
}

// TestEveryCauseHasAText: the gravest of several is shown.
func TestEveryCauseHasAText(t *testing.T) {
	for _, c := range drill.Causes() {
		require.Contains(t, causeText[c], string(c)+": ")
		require.LessOrEqual(t, columns(causeText[c]), width-11)
	}
	var b bytes.Buffer
	require.NoError(t, Text(&b, freshNever(), Style{}))
	require.Contains(t, b.String(), "limit 30 s.\n    Cause: fresh: new connections")
}
