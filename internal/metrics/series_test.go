package metrics

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

func by(who string, r Record) Record {
	r.By = who
	return r
}

// TestT9ANameMakesNoEvidence: a harmless drill of the same name, by somebody else or elsewhere, refreshes nothing of the
// schedule's, and a refused one is not its last verdict.
func TestT9ANameMakesNoEvidence(t *testing.T) {
	elsewhere := ended("c", drill.VerdictPassed, 60)
	elsewhere.Targets = "sandbox"
	_, registry := leading(t, &memory{}, ended("a", drill.VerdictFailed, 1),
		by("requester/mallory", ended("b", drill.VerdictPassed, 50)), elsewhere,
		by("requester/eve", Record{UID: "d", Key: killing, Fault: "unknown", Verdict: drill.VerdictRefused, Over: true, Ended: noon.Add(time.Hour)}))
	_, ok := value(t, registry, "drill_last_success_timestamp_seconds", "drill", "kill", "by", "schedule", "targets", "shop")
	require.False(t, ok, "the schedule's never passed")
	v, _ := value(t, registry, "drill_last_verdict", "by", "schedule", "targets", "shop", "verdict", "failed")
	require.InDelta(t, 1, v, 0)
	v, _ = value(t, registry, "drill_last_success_timestamp_seconds", "by", "requester/mallory")
	require.InDelta(t, float64(noon.Unix()+50*60), v, 0)
	v, _ = value(t, registry, "drill_runs_total", "by", "schedule", "targets", "shop", "verdict", "refused")
	require.Zero(t, v)
}

// TestT12NamesAreBounded: 2,400 refused runs with long names filled the totals, and then nothing was counted any more.
func TestT12NamesAreBounded(t *testing.T) {
	store := &memory{}
	var records []Record
	for i := range 2400 {
		records = append(records, Record{UID: fmt.Sprint("u", i), Run: "r", Fault: "unknown", Verdict: drill.VerdictRefused, Over: true,
			Key: Key{Drill: fmt.Sprintf("%0253d", i), By: fmt.Sprint("requester/", i%30), Targets: "shop"}, Ended: noon.Add(time.Duration(i) * time.Second)})
	}
	s, registry := leading(t, store, records...)
	require.Less(t, len(store.data), maxTotals)
	n, err := testutil.GatherAndCount(registry, "drill_runs_total")
	require.NoError(t, err)
	require.LessOrEqual(t, n, (maxSeries+1)*len(drill.Verdicts()))
	v, _ := value(t, registry, "drill_runs_total", "drill", "other", "verdict", "refused")
	require.Greater(t, v, 1000.0, "and none is lost")

	scheduled := ended("mine", drill.VerdictPassed, 99)
	require.NoError(t, s.Sync(t.Context(), append(records, scheduled)))
	require.InDelta(t, 1, runs(t, registry, drill.VerdictPassed), 0, "a schedule always has room")
	own := 0
	for key := range s.totals.drills {
		if key.By == "requester/7" {
			own++
		}
	}
	require.LessOrEqual(t, own, maxOwnSeries)

	big := newTotals(noon)
	for i := range 3000 {
		key := Key{Drill: strings.Repeat("n", 200) + fmt.Sprint(i), By: bySchedule}
		if i%2 == 0 {
			key.By = "requester/x"
		}
		big.drills[key] = &drillTotal{Drill: key.Drill, By: key.By, Faults: map[string]*faultTotal{}}
	}
	raw, err := big.encode()
	require.NoError(t, err)
	require.LessOrEqual(t, len(raw), maxTotals)
}

// TestCountersOfAnOlderDrillStay: it knew drills by name alone. Its counters do not fall, and its times are the records'.
func TestCountersOfAnOlderDrillStay(t *testing.T) {
	store := &memory{version: 1, data: []byte(`{"since":"2026-01-01T00:00:00Z","counted":["a"],"drills":{"kill":{"last_success":"2026-11-01T00:00:00Z",` +
		`"faults":{"kill_primary":{"runs":{"passed":7},"unrecovered":0,"recovery":{}}}}}}`)}
	_, registry := leading(t, store, ended("a", drill.VerdictPassed, 1), ended("b", drill.VerdictPassed, 2))
	v, ok := value(t, registry, "drill_runs_total", "by", "", "verdict", "passed")
	require.True(t, ok)
	require.InDelta(t, 7, v, 0)
	v, _ = value(t, registry, "drill_runs_total", "by", "schedule", "verdict", "passed")
	require.InDelta(t, 1, v, 0)
	n, err := testutil.GatherAndCount(registry, "drill_last_success_timestamp_seconds")
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, registry = leading(t, store, ended("a", drill.VerdictPassed, 1))
	v, _ = value(t, registry, "drill_runs_total", "by", "", "verdict", "passed")
	require.InDelta(t, 7, v, 0, "also after it was written anew")
}
