package metrics

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// memory is a store that behaves as the cluster does.
type memory struct {
	data    []byte
	version int
	failing error
	before  func() // is called once, before the next save, as another server that is faster
	saves   int
}

func (m *memory) Load(context.Context) ([]byte, string, error) {
	if m.data == nil {
		return nil, "", m.failing
	}
	return m.data, fmt.Sprint(m.version), m.failing
}

func (m *memory) Save(_ context.Context, data []byte, version string) (string, bool, error) {
	if f := m.before; f != nil {
		m.before = nil
		f()
	}
	if m.failing != nil {
		return "", false, m.failing
	}
	if there := m.data != nil; there != (version != "") || there && version != fmt.Sprint(m.version) {
		return "", false, nil
	}
	m.data, m.version, m.saves = data, m.version+1, m.saves+1
	return fmt.Sprint(m.version), true, nil
}

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// inCluster are the reports in the cluster, by the run's UID.
var inCluster = map[string]*drill.Report{}

func load(_ context.Context, r Record) (*drill.Report, error) { return inCluster[r.UID], nil }

var killing = Key{Drill: "kill", By: "schedule", Targets: "shop"}

func ended(uid string, verdict drill.Verdict, minute int, edit ...func(*drill.Report)) Record {
	report := &drill.Report{Run: drill.RunReport{Verdict: verdict}, Recovery: &drill.RecoveryReport{
		Estimate: drill.Estimate{Estimate: 12.3, Lower: 12.2, Upper: 12.4}, Redundancy: new(drill.Seconds(41))}}
	for _, e := range edit {
		e(report)
	}
	inCluster[uid] = report
	return Record{UID: uid, Run: "run-" + uid, Key: killing, Fault: "kill_primary", Verdict: verdict, Over: true,
		Ended: noon.Add(time.Duration(minute) * time.Minute), Reported: true, Aborted: report.Abort.Fired,
		Recovered: !never(report.Recovery.Estimate.Estimate)}
}

func leading(t *testing.T, store Store, records ...Record) (*Server, *prometheus.Registry) {
	t.Helper()
	s := NewServer(store, load, nil)
	require.NoError(t, s.Rebuild(t.Context(), func(context.Context) ([]Record, error) { return records, nil }))
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(s)
	return s, registry
}

// value reads one series; labels are pairs.
func value(t *testing.T, registry *prometheus.Registry, name string, labels ...string) (float64, bool) {
	t.Helper()
	m := series(t, registry, name, labels...)
	switch {
	case m == nil:
		return 0, false
	case m.Counter != nil:
		return m.Counter.GetValue(), true
	case m.Gauge != nil:
		return m.Gauge.GetValue(), true
	}
	return float64(m.Histogram.GetSampleCount()), true
}

func series(t *testing.T, registry *prometheus.Registry, name string, labels ...string) *dto.Metric {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.Metric {
			has := map[string]string{}
			for _, l := range m.Label {
				has[l.GetName()] = l.GetValue()
			}
			same := f.GetName() == name
			for i := 0; i < len(labels); i += 2 {
				same = same && has[labels[i]] == labels[i+1]
			}
			if same {
				return m
			}
		}
	}
	return nil
}

func runs(t *testing.T, registry *prometheus.Registry, verdict drill.Verdict) float64 {
	t.Helper()
	v, ok := value(t, registry, "drill_runs_total", "drill", "kill", "verdict", string(verdict))
	require.True(t, ok)
	return v
}

func TestServerNamesPassPromlint(t *testing.T) {
	full := ended("a", drill.VerdictAborted, 1, func(r *drill.Report) {
		r.Abort = drill.AbortReport{Fired: true, Latency: new(drill.Seconds(0.2))}
		r.Writes = &drill.WritesReport{Lost: new(0), LostSpan: new(drill.Seconds(0))}
		r.Primaries = &drill.PrimariesReport{}
		r.ReplicationLag = &drill.LagReport{Before: &drill.Bounds{}, AtFault: &drill.Bounds{}, Peak: &drill.Bounds{}}
		r.Recovery.LateRatio = drill.LateRatio{Before: new(0.0)}
	})
	s, registry := leading(t, &memory{}, full, ended("b", drill.VerdictPassed, 0))
	s.schedules = func() []Schedule { return []Schedule{{Key: killing, Fault: "kill_primary", Next: noon, Missed: 2}} }
	problems, err := testutil.GatherAndLint(registry)
	require.NoError(t, err)
	require.Empty(t, problems)
	families, err := registry.Gather()
	require.NoError(t, err)
	require.Len(t, families, len(serverFamilies()), "every family is shown, or the page on metrics lies")
	for _, f := range families {
		for _, m := range f.Metric {
			for _, l := range m.Label {
				require.NotContains(t, l.GetValue(), "run-", "the run's id is no label: %s", f.GetName())
			}
		}
	}
}

func TestADrillsSeriesExistBeforeItsFirstRunEnds(t *testing.T) {
	_, registry := leading(t, &memory{}, Record{UID: "a", Key: killing, Fault: "kill_primary", Running: true})
	n, err := testutil.GatherAndCount(registry, "drill_runs_total")
	require.NoError(t, err)
	require.Equal(t, len(drill.Verdicts()), n, "increase() must see the first failure")
	require.Zero(t, runs(t, registry, drill.VerdictFailed))
	v, ok := value(t, registry, "drill_recovery_seconds", "phase", "sustained")
	require.True(t, ok)
	require.Zero(t, v)
	v, _ = value(t, registry, "drill_in_progress")
	require.InDelta(t, 1, v, 0)
	_, ok = value(t, registry, "drill_last_success_timestamp_seconds")
	require.False(t, ok, "never is no time")
}

func TestAReportsNumbers(t *testing.T) {
	failed := ended("a", drill.VerdictFailed, 1, func(r *drill.Report) {
		r.Writes = &drill.WritesReport{Sent: 9, Lost: new(3), LostSpan: new(drill.Seconds(0.5))}
		r.Primaries = &drill.PrimariesReport{DualPrimary: 2, LeaderChanges: 1}
		r.ReplicationLag = &drill.LagReport{Before: &drill.Bounds{Upper: 0.02}, Peak: &drill.Bounds{Lower: 3, Upper: 3.1}}
		r.Recovery.Phases = []drill.Phase{{Name: "detected", Start: 1, Seconds: 8}}
		r.Recovery.HeadlineClass, r.Recovery.ByClass = drill.ClassPooled, map[drill.Class]drill.Estimate{drill.ClassFresh: {Estimate: 14, Lower: 13.9, Upper: 14.2}}
		r.Recovery.Unavailable, r.Recovery.Failed, r.Recovery.Slow, r.Recovery.LongestOutage = 12, 11.5, 0.5, 11.9
		r.Recovery.Blips, r.Recovery.LateRatio = drill.BlipsReport{Count: 3}, drill.LateRatio{After: new(0.05)}
	})
	failed.Residue = 2
	_, registry := leading(t, &memory{}, failed)
	for text, want := range map[string]float64{
		"last_recovery_seconds phase=sustained bound=lower":    12.2,
		"last_recovery_seconds phase=sustained bound=estimate": 12.3,
		"last_recovery_seconds phase=sustained bound=upper":    12.4,
		"last_recovery_seconds phase=detected bound=estimate":  9,
		"last_redundancy_seconds":                              41,
		"last_writes class=lost":                               3,
		"last_data_loss_seconds":                               0.5,
		"last_dual_primary_seconds":                            2,
		"last_leader_changes":                                  1,
		"last_replication_lag_seconds when=before bound=upper": 0.02,
		"last_replication_lag_seconds when=peak bound=lower":   3,
		"fault_residue":                                        2,
		"last_verdict verdict=failed":                          1,
		"last_verdict verdict=passed":                          0,
		"runs_total verdict=failed":                            1,
		"recovery_seconds phase=sustained":                     1,
		"recovery_seconds phase=redundant":                     1,
		"last_run_timestamp_seconds":                           float64(noon.Unix() + 60),
		"unrecovered_total":                                    0,
		"runs_total verdict=interrupted":                       0,
		"recovery_seconds phase=detected":                      1,
		"in_progress":                                          0,
		"last_recovery_seconds phase=fresh bound=estimate":     14,
		"last_recovery_seconds phase=fresh bound=lower":        13.9,
		"last_recovery_seconds phase=fresh bound=upper":        14.2,
		"last_unavailable_seconds":                             12,
		"last_failed_seconds":                                  11.5,
		"last_slow_seconds":                                    0.5,
		"last_longest_outage_seconds":                          11.9,
		"last_blips":                                           3,
		"last_late_ratio when=after":                           0.05,
		"unrecovered_total fault=kill_primary":                 0,
	} {
		fields := strings.FieldsFunc(text, func(c rune) bool { return c == ' ' || c == '=' })
		got, ok := value(t, registry, "drill_"+fields[0], fields[1:]...)
		require.True(t, ok, text)
		require.InDelta(t, want, got, 1e-9, text)
	}
	_, ok := value(t, registry, "drill_last_replication_lag_seconds", "when", "at_fault")
	require.False(t, ok, "unknown is no 0")
	_, ok = value(t, registry, "drill_last_late_ratio", "when", "before")
	require.False(t, ok, "nothing was acknowledged before")
	_, ok = value(t, registry, "drill_recovery_seconds", "phase", "fresh")
	require.False(t, ok, "the histogram is of the headline's milestones")
	_, registry = leading(t, &memory{}, ended("a", drill.VerdictFailed, 1, func(r *drill.Report) { r.Writes = &drill.WritesReport{Sent: 9} }))
	_, ok = value(t, registry, "drill_last_writes", "class", "lost")
	require.False(t, ok, "unknown is no 0")
}

func TestNeverRecoveredIsNoObservation(t *testing.T) {
	never := drill.Never()
	_, registry := leading(t, &memory{}, ended("a", drill.VerdictFailed, 1, func(r *drill.Report) {
		r.Recovery = &drill.RecoveryReport{Estimate: drill.Estimate{Estimate: never, Lower: 3, Upper: never}, Redundancy: &never}
	}))
	v, _ := value(t, registry, "drill_recovery_seconds", "phase", "sustained")
	require.Zero(t, v, "+Inf would poison the histogram's sum")
	v, _ = value(t, registry, "drill_unrecovered_total")
	require.InDelta(t, 1, v, 0)
	v, _ = value(t, registry, "drill_last_recovery_seconds", "bound", "upper")
	require.True(t, math.IsInf(v, 1))
}

// TestNewConnectionsThatNeverCameBack: a service that no new connection reaches is not back.
func TestNewConnectionsThatNeverCameBack(t *testing.T) {
	_, registry := leading(t, &memory{}, ended("a", drill.VerdictFailed, 1, func(r *drill.Report) {
		r.Recovery.HeadlineClass = drill.ClassPooled
		r.Recovery.ByClass = map[drill.Class]drill.Estimate{drill.ClassFresh: {Estimate: drill.Never(), Lower: 60, Upper: drill.Never()}}
	}))
	v, _ := value(t, registry, "drill_unrecovered_total")
	require.InDelta(t, 1, v, 0)
	v, _ = value(t, registry, "drill_recovery_seconds", "phase", "sustained")
	require.InDelta(t, 1, v, 0, "pooled connections did come back")
	v, _ = value(t, registry, "drill_last_recovery_seconds", "phase", "fresh", "bound", "upper")
	require.True(t, math.IsInf(v, 1))
}

// TestAReportOfVersionOne: it knew neither outages nor blips, and a 0 would say that there were none.
func TestAReportOfVersionOne(t *testing.T) {
	_, registry := leading(t, &memory{}, ended("a", drill.VerdictPassed, 1, func(r *drill.Report) {
		r.FormatVersion, r.Recovery.Unavailable, r.Recovery.Degraded = "1", 12, 0.5
	}))
	v, _ := value(t, registry, "drill_last_unavailable_seconds")
	require.InDelta(t, 12, v, 0)
	for _, name := range []string{"failed_seconds", "slow_seconds", "longest_outage_seconds", "blips", "late_ratio"} {
		_, ok := value(t, registry, "drill_last_"+name)
		require.False(t, ok, name)
	}
}

// TestAShortRunMeasuresNothing: its verdict counts, and the numbers of the last whole run stay.
func TestAShortRunMeasuresNothing(t *testing.T) {
	_, registry := leading(t, &memory{}, ended("a", drill.VerdictPassed, 1),
		ended("b", drill.VerdictInterrupted, 2, func(r *drill.Report) { r.Recovery.Upper, r.Recovery.Estimate.Estimate = drill.Never(), drill.Never() }),
		ended("c", drill.VerdictInvalid, 3, func(r *drill.Report) { r.Recovery.Upper = 99 }),
		Record{UID: "d", Key: killing, Fault: "kill_primary", Verdict: drill.VerdictRefused, Over: true, Ended: noon.Add(4 * time.Minute)})
	v, _ := value(t, registry, "drill_unrecovered_total")
	require.Zero(t, v)
	v, _ = value(t, registry, "drill_last_recovery_seconds", "bound", "upper")
	require.InDelta(t, 12.4, v, 0)
	v, _ = value(t, registry, "drill_last_verdict", "verdict", "refused")
	require.InDelta(t, 1, v, 0)
	require.InDelta(t, 1, runs(t, registry, drill.VerdictRefused), 0)
	v, _ = value(t, registry, "drill_last_run_timestamp_seconds")
	require.InDelta(t, float64(noon.Unix()+240), v, 0)
	v, _ = value(t, registry, "drill_last_success_timestamp_seconds")
	require.InDelta(t, float64(noon.Unix()+60), v, 0)
}

func TestARecordCountsOnce(t *testing.T) {
	store := &memory{}
	a, b := ended("a", drill.VerdictPassed, 1), ended("b", drill.VerdictPassed, 2)
	s, registry := leading(t, store, a)
	for range 3 { // an informer's resync
		require.NoError(t, s.Sync(t.Context(), []Record{a, b}))
	}
	require.InDelta(t, 2, runs(t, registry, drill.VerdictPassed), 0)
	require.Equal(t, 2, store.saves, "nothing new is nothing to store")
	v, _ := value(t, registry, "drill_recovery_seconds", "phase", "sustained")
	require.InDelta(t, 2, v, 0)

	_, registry = leading(t, store, a, b) // another leader
	require.InDelta(t, 2, runs(t, registry, drill.VerdictPassed), 0)
	v, _ = value(t, registry, "drill_recovery_seconds", "phase", "sustained")
	require.InDelta(t, 2, v, 0)
}

func TestADeletedRecordStaysCounted(t *testing.T) {
	store := &memory{}
	a, b, c := ended("a", drill.VerdictFailed, 1), ended("b", drill.VerdictPassed, 2), ended("c", drill.VerdictPassed, 3)
	s, registry := leading(t, store, a, b)
	require.NoError(t, s.Sync(t.Context(), []Record{a, b}))
	require.NoError(t, s.Sync(t.Context(), []Record{b}))
	require.InDelta(t, 1, runs(t, registry, drill.VerdictFailed), 0)
	require.NoError(t, s.Sync(t.Context(), nil))
	v, ok := value(t, registry, "drill_last_recovery_seconds", "bound", "upper")
	require.True(t, ok, "the gauges stay, too")
	require.InDelta(t, 12.4, v, 0)

	s, registry = leading(t, store, c)
	require.InDelta(t, 1, runs(t, registry, drill.VerdictFailed), 0)
	require.InDelta(t, 2, runs(t, registry, drill.VerdictPassed), 0)
	require.Equal(t, map[string]bool{"c": true}, s.totals.counted, "what is gone needs no note any more")
	for range 2 {
		require.NoError(t, s.Sync(t.Context(), []Record{c}))
	}
	for range 2 {
		require.NoError(t, s.Sync(t.Context(), nil))
	}
	require.NoError(t, s.Sync(t.Context(), []Record{ended("d", drill.VerdictPassed, 4)}))
	require.Equal(t, map[string]bool{"d": true}, s.totals.counted, "although nothing was written when it went")
}

// TestAStaleCacheForgetsNothing: a record that the cache does not have yet was counted, and must not be twice.
func TestAStaleCacheForgetsNothing(t *testing.T) {
	store := &memory{}
	a, b := ended("a", drill.VerdictPassed, 1), ended("b", drill.VerdictPassed, 2)
	s, registry := leading(t, store, a)
	require.NoError(t, s.Sync(t.Context(), []Record{b})) // not yet a
	require.NoError(t, s.Sync(t.Context(), []Record{a, b}))
	require.InDelta(t, 2, runs(t, registry, drill.VerdictPassed), 0)
}

func TestTwoLeadersCountARecordOnce(t *testing.T) {
	store := &memory{}
	a, b := ended("a", drill.VerdictPassed, 1), ended("b", drill.VerdictPassed, 2)
	one, registry := leading(t, store)
	store.before = func() { leading(t, store, a) }
	require.NoError(t, one.Sync(t.Context(), []Record{a, b}))
	require.InDelta(t, 2, runs(t, registry, drill.VerdictPassed), 0)

	store.before = func() { leading(t, store, a, b, ended("c", drill.VerdictPassed, 3)) }
	_, registry = leading(t, store, a, b, ended("c", drill.VerdictPassed, 3), ended("d", drill.VerdictPassed, 4))
	require.InDelta(t, 4, runs(t, registry, drill.VerdictPassed), 0)
}

func TestWhatCannotBeStoredIsNotShown(t *testing.T) {
	store := &memory{}
	a := ended("a", drill.VerdictPassed, 1)
	s, registry := leading(t, store, Record{UID: "z", Key: killing, Fault: "kill_primary"})
	store.failing = errors.New("the API server is away")
	require.ErrorContains(t, s.Sync(t.Context(), []Record{a}), "away")
	require.Zero(t, runs(t, registry, drill.VerdictPassed), "or the next leader's counter would be lower")
	store.failing = nil
	require.NoError(t, s.Sync(t.Context(), []Record{a}))
	require.InDelta(t, 1, runs(t, registry, drill.VerdictPassed), 0)
}

func TestTotalsThatSomebodyDeletesAreWrittenAgain(t *testing.T) {
	store := &memory{}
	a, b := ended("a", drill.VerdictPassed, 1), ended("b", drill.VerdictPassed, 2)
	s, registry := leading(t, store, a)
	store.data = nil
	require.NoError(t, s.Sync(t.Context(), []Record{b}), "a is gone as well")
	require.InDelta(t, 2, runs(t, registry, drill.VerdictPassed), 0)
	require.NotNil(t, store.data)
}

func TestNoSeriesBeforeTheRebuild(t *testing.T) {
	registry := prometheus.NewRegistry()
	s := NewServer(&memory{}, nil, nil)
	registry.MustRegister(s)
	families, err := registry.Gather()
	require.NoError(t, err)
	require.Empty(t, families)
	require.Error(t, s.Sync(t.Context(), nil))
}

// TestTheHistogramIsThatOfTheLibrary compares with one that is observed directly.
func TestTheHistogramIsThatOfTheLibrary(t *testing.T) {
	theirs := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Buckets: recoveryBuckets, NativeHistogramBucketFactor: 1.1})
	ours := &histogram{}
	for _, v := range []float64{0, 0.004, 0.1, 0.11, 0.5, 1, 2, 3.3, 12.34, 12.35, 30, 30.0001, 601, 86400} {
		theirs.Observe(v)
		ours.observe(v)
	}
	var want, got dto.Metric
	require.NoError(t, theirs.Write(&want))
	m, err := ours.metric(prometheus.NewDesc("h", "", nil, nil), noon)
	require.NoError(t, err)
	require.NoError(t, m.Write(&got))
	want.Histogram.CreatedTimestamp, got.Histogram.CreatedTimestamp = nil, nil
	require.Equal(t, want.Histogram.String(), got.Histogram.String())
}

func TestTheExemplarNamesTheRun(t *testing.T) {
	_, registry := leading(t, &memory{}, ended("a", drill.VerdictPassed, 1), ended("b", drill.VerdictPassed, 2))
	m := series(t, registry, "drill_recovery_seconds", "phase", "sustained")
	require.Len(t, m.Histogram.Exemplars, 1)
	require.Contains(t, m.Histogram.Exemplars[0].String(), "run-b")
	require.NotEmpty(t, m.Histogram.Bucket)
	require.NotEmpty(t, m.Histogram.PositiveSpan)
}
