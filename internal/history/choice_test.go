package history

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// ofKey is a stored run of a drill called kill.
func ofKey(id, by, targets string) Stored {
	return Stored{drill.Report{Run: drill.RunReport{ID: id, Drill: "kill", Trial: 1, Verdict: drill.VerdictPassed}}, kube.SeriesKey{Drill: "kill", By: by, Targets: targets}}
}

// TestT9AStrangersRunsAreNotMixedIn: the name of a drill is anybody's to choose.
func TestT9AStrangersRunsAreNotMixedIn(t *testing.T) {
	mallory, alice := kube.ByRequester("mallory"), kube.ByRequester("alice")
	stored := []Stored{ofKey("m-2", mallory, "mallory"), ofKey("s-2", kube.BySchedule, "shop"), ofKey("m-1", mallory, "mallory"),
		ofKey("a-1", alice, "shop"), ofKey("s-1", kube.BySchedule, "shop"), ofKey("s-0", kube.BySchedule, "")}
	pick := func(stored []Stored, meant string, choice Choice) ([]string, string, error) {
		found, note, err := Pick(stored, meant, choice)
		var ids []string
		for _, r := range found {
			ids = append(ids, r.Run.ID)
		}
		return ids, note, err
	}
	for name, c := range map[string]struct {
		meant  string
		choice Choice
		want   []string
		note   string
	}{
		"the schedule's are preferred":      {"kill", Choice{}, []string{"s-2", "s-1", "s-0"}, "kill: the runs by schedule, in shop. Left out are those by alice, in shop; by mallory, in mallory; choose with --by and --targets"},
		"and counted":                       {"kill:2", Choice{}, []string{"s-2", "s-1"}, "kill: the runs by schedule"},
		"a requester's":                     {"kill", Choice{By: "mallory"}, []string{"m-2", "m-1"}, "kill: the runs by mallory, in mallory."},
		"a requester's, by the whole name":  {"kill", Choice{By: "requester/alice"}, []string{"a-1"}, "kill: the runs by alice, in shop."},
		"where":                             {"kill", Choice{By: ByAll, Targets: "shop"}, []string{"s-2", "a-1", "s-1"}, "kill: the runs by alice, in shop; by schedule, in shop."},
		"mixed, because somebody asks":      {"kill", Choice{By: ByAll}, []string{"m-2", "s-2", "m-1", "a-1", "s-1", "s-0"}, ""},
		"a run's id names one, whosever":    {"m-1", Choice{}, []string{"m-1"}, ""},
		"a schedule's with unknown targets": {"kill@2000-01-01/", Choice{}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			ids, note, err := pick(stored, c.meant, c.choice)
			if c.want == nil {
				require.Error(t, err, "none of them began then")
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, ids)
			require.Contains(t, note, c.note)
			require.Equal(t, c.note == "", note == "")
		})
	}

	people := []Stored{stored[0], stored[3]}
	_, _, err := pick(people, "kill", Choice{})
	require.EqualError(t, err, `the runs of drill "kill" are not of one series: by alice, in shop; by mallory, in mallory. Choose with --by and --targets, or mix them with --by all`)
	_, _, err = pick(people, "kill", Choice{By: kube.BySchedule})
	require.ErrorContains(t, err, `There are those by alice, in shop; by mallory, in mallory`)
	ids, note, err := pick(people, "kill", Choice{Targets: "shop"})
	require.NoError(t, err)
	require.Equal(t, []string{"a-1"}, ids)
	require.NotEmpty(t, note)
	ids, note, err = pick([]Stored{ofKey("l-1", "", ""), ofKey("l-2", "", "")}, "kill", Choice{})
	require.NoError(t, err, "of this machine")
	require.Equal(t, []string{"l-1", "l-2"}, ids)
	require.Empty(t, note)
}

// TestT9ARecordSaysWhoseItIs by what the server has noted, and before that by what it is.
func TestT9ARecordSaysWhoseItIs(t *testing.T) {
	r := &kube.DrillRun{ObjectMeta: metav1.ObjectMeta{Name: "r"}, Spec: kube.Spec{Drill: "kill", Requester: kube.Requester{User: "alice"}},
		Status: kube.Status{Phase: kube.PhaseFinished, Verdict: drill.VerdictPassed}}
	require.Equal(t, kube.SeriesKey{Drill: "kill", By: "requester/alice"}, KeyOf(r))
	raw, err := json.Marshal(drill.Report{Run: drill.RunReport{Drill: "kill"}, Faults: []drill.FaultReport{{Victims: []drill.Member{{Namespace: "shop"}}}}})
	require.NoError(t, err)
	r.Status.Report = raw
	require.Equal(t, kube.SeriesKey{Drill: "kill", By: "requester/alice", Targets: "shop"}, KeyOf(r), "a local one's victims say where")
	r.Annotations = map[string]string{kube.AnnotationTargets: "shop,till"}
	require.Equal(t, "alice, in shop, till", OfRecord(r).Key().Whose())
	r.Labels = map[string]string{kube.LabelSchedule: "kill"}
	r.Annotations[kube.AnnotationScheduledFor] = "2026-11-21T10:00:00Z"
	require.Equal(t, "schedule, in shop, till", OfRecord(r).Key().Whose())
	r.Labels[kube.LabelPhase] = string(kube.PhaseFinished)
	r.Annotations[kube.AnnotationSummary] = `{"drill":"kill","by":"schedule","targets":"noted"}`
	require.Equal(t, kube.SeriesKey{Drill: "kill", By: kube.BySchedule, Targets: "noted"}, KeyOf(r))
}
