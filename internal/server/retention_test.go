package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/history"
	"github.com/failoverdrill/drill/internal/kube"
)

var someday = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// past is a settled run that ended so many hours ago.
func past(name, drillName, by string, hours int, edit ...func(*entry)) entry {
	at := someday.Add(-time.Duration(hours) * time.Hour)
	summary := kube.Summary{SeriesKey: kube.SeriesKey{Drill: drillName, By: by}, Verdict: drill.VerdictFailed, Started: at, Finished: at}
	raw, _ := json.Marshal(summary)
	e := entry{PartialObjectMetadata: &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name),
		Namespace: ns, CreationTimestamp: metav1.NewTime(at), Labels: map[string]string{kube.LabelPhase: "Finished"},
		Annotations: map[string]string{kube.AnnotationSummary: string(raw)}}}, Summary: summary, read: true}
	for _, f := range edit {
		f(&e)
	}
	return e
}

func names(entries []entry) []string {
	var all []string
	for _, e := range entries {
		all = append(all, e.Name)
	}
	return all
}

func everything(string) bool { return true }

func TestT4OldRunsGoAndWhatIsStillWantedStays(t *testing.T) {
	all := []entry{past("r0", "d", "schedule", 0), past("r1", "d", "schedule", 1), past("r2", "d", "schedule", 2), past("r3", "d", "schedule", 3)}
	require.Empty(t, outdated(all, 0, 0, someday, everything), "0 keeps all")
	require.Equal(t, []string{"r3", "r2"}, names(outdated(all, 2, 0, someday, everything)), "the oldest first")
	require.Equal(t, []string{"r3"}, names(outdated(all, 0, 150*time.Minute, someday, everything)))
	require.Empty(t, outdated(append(all[:1:1], past("s", "d", "requester/eve", 9), past("u", "e", "schedule", 9)), 1, 0, someday, everything),
		"each series has its own")

	for what, edit := range map[string]func(*entry){
		"not settled":     func(e *entry) { delete(e.Labels, kube.LabelPhase) },
		"our finalizer":   func(e *entry) { e.Finalizers = []string{kube.Finalizer} },
		"a foreign one":   func(e *entry) { e.Finalizers = []string{"example.com/x"} },
		"going":           func(e *entry) { e.DeletionTimestamp = new(metav1.Now()) },
		"the last passed": func(e *entry) { e.Verdict = drill.VerdictPassed },
		"no summary":      func(e *entry) { delete(e.Annotations, kube.AnnotationSummary) },
		"of the newest series": func(e *entry) {
			e.Labels[kube.LabelSeries] = "r0"
		},
	} {
		old := outdated(append(all[:3:3], past("r3", "d", "schedule", 3, edit)), 2, 0, someday, everything)
		require.Equal(t, []string{"r2"}, names(old), what)
	}
	require.Empty(t, outdated(all, 2, 0, someday, func(uid string) bool { return uid == "uid-r0" || uid == "uid-r1" }), "not in the totals yet")

	// Trials are compared with the earlier ones of their series: none goes while another trial is to come.
	running := past("r4-t9", "d", "schedule", 0, func(e *entry) {
		e.Labels = map[string]string{kube.LabelSeries: "r3", kube.LabelTrial: "9"}
	})
	require.Equal(t, []string{"r2", "r1"}, names(outdated(append([]entry{running}, all...), 2, 0, someday, everything)))
}

// TestT4NamesOfDrillsAreFree: who makes runs of ever new drills pushes out his own, and nobody else's.
func TestT4NamesOfDrillsAreFree(t *testing.T) {
	var all []entry
	for i := range keepAll + 40 {
		all = append(all, past(fmt.Sprintf("e%04d", i), fmt.Sprintf("d%d", i), "requester/eve", i/100))
	}
	for i := range 50 {
		all = append(all, past(fmt.Sprintf("s%d", i), "monthly", "schedule", 720*i))
	}
	old := outdated(all, 100, 0, someday, everything)
	require.Len(t, old, 90)
	for _, e := range old {
		require.Equal(t, "requester/eve", e.By)
	}
}

func TestT4PodsGoAfterTheirRuns(t *testing.T) {
	w := newWorld(t)
	x := w.indexed()
	require.True(t, x.synced(t.Context()))
	pods := cache.NewStore(cache.MetaNamespaceKeyFunc)
	add := func(e entry, pod string) {
		require.NoError(t, x.informer.GetStore().Add(e.PartialObjectMetadata))
		require.NoError(t, pods.Add(&metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: pod, Namespace: ns, Labels: map[string]string{kube.LabelRun: e.Name}}}))
	}
	add(past("new", "d", "schedule", 0), "run-new")
	add(past("old", "d", "schedule", 2), "run-old")
	add(past("open", "d", "schedule", 2, func(e *entry) { e.Labels = nil }), "run-open")
	add(past("other", "d", "schedule", 2), "some-pod")
	var got []string
	for _, p := range outdatedPods(pods, x, someday) {
		got = append(got, p.Name)
	}
	require.Equal(t, []string{"run-old"}, got)
}

// TestT4AFinishedRunIsSummarisedInTheWriteThatLetsItGo, and from then on nobody reads its record.
func TestT4AFinishedRunIsSummarisedInTheWriteThatLetsItGo(t *testing.T) {
	w := newWorld(t)
	w.record("r1", over(drill.VerdictPassed, 1, func(r *drill.Report) { r.Run.Reasons = []drill.Reason{{Text: strings.Repeat("ö", 1<<20)}} }), func(r *kube.DrillRun) {
		r.Finalizers = []string{kube.Finalizer, "example.com/other"}
	})
	_, err := w.reconcile(t.Context(), "r1")
	require.NoError(t, err)
	run, err := w.runs.Get(t.Context(), "r1")
	require.NoError(t, err)
	require.Equal(t, []string{"example.com/other"}, run.Finalizers)
	m := &metav1.PartialObjectMetadata{ObjectMeta: run.ObjectMeta}
	require.LessOrEqual(t, len(run.Annotations[kube.AnnotationSummary]), 1<<10)
	s, ok := kube.SummaryOf(m)
	require.True(t, ok)
	require.Equal(t, kube.SeriesKey{Drill: "d", By: "requester/alice"}, s.SeriesKey)
	require.Equal(t, "kill_primary", s.Fault)
	e := history.OfSummary(m, s)
	require.InDelta(t, 12.3, float64(e.Recovery.Estimate), 0)
	require.Contains(t, e.Reason, "bytes more)")

	x := w.indexed()
	require.True(t, x.synced(t.Context()))
	entries, err := x.entries(t.Context(), 0)
	require.NoError(t, err)
	require.True(t, entries[0].read, "without a record being read")
	require.Equal(t, kube.PhaseFinished, entries[0].Phase)
	require.Empty(t, (&reconciler{}).runOfRecord(x.find("r1")))
}

// TestT4WhatLeftSomethingBehindIsNotSettled: somebody may clear it away, and the record says so.
func TestT4WhatLeftSomethingBehindIsNotSettled(t *testing.T) {
	w := newWorld(t)
	w.record("r1", kube.Status{Phase: kube.PhaseFinished, Verdict: drill.VerdictError, Faults: []kube.FaultRecord{
		{Kind: "kill_primary", Name: "a", State: json.RawMessage("{}"), Phase: kube.FaultResidue, Residue: []string{"node n1 is cordoned"}}}})
	_, err := w.reconcile(t.Context(), "r1")
	require.NoError(t, err)
	run, err := w.runs.Get(t.Context(), "r1")
	require.NoError(t, err)
	require.False(t, kube.Settled(&metav1.PartialObjectMetadata{ObjectMeta: run.ObjectMeta}))
}

// TestT4RunsOfAnOlderDrillAreLabelledSlowly: there may be thousands, and what is open must not wait for them.
func TestT4RunsOfAnOlderDrillAreLabelledSlowly(t *testing.T) {
	w := newWorld(t)
	for i := range 1000 {
		m := past(fmt.Sprint("r", i), "d", "schedule", 24).PartialObjectMetadata
		m.Labels = nil
		for range 3 { // and again at each resync
			require.Empty(t, w.runOfRecord(m))
		}
	}
	require.Len(t, w.unlabelled, 1000)
	require.Less(t, w.queue.Len(), 100)
	open := past("open", "d", "schedule", 24, func(e *entry) { e.Labels, e.Finalizers = nil, []string{kube.Finalizer} })
	require.Equal(t, "open", w.runOfRecord(open.PartialObjectMetadata))
	young := past("young", "d", "schedule", 0, func(e *entry) { e.Labels, e.CreationTimestamp = nil, metav1.Now() })
	require.Equal(t, "young", w.runOfRecord(young.PartialObjectMetadata))
}

// TestLeanMetadata: the server keeps of an object what it looks at.
func TestLeanMetadata(t *testing.T) {
	m := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "u", ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "x"}},
		Labels:      map[string]string{"a": "b", kube.LabelPhase: "Finished"},
		Annotations: map[string]string{"note": strings.Repeat("x", 1<<18), "failoverdrill.io/long": strings.Repeat("x", 1<<18), kube.AnnotationFault: "f"}}}
	got, err := lean(m)
	require.NoError(t, err)
	raw, err := json.Marshal(got)
	require.NoError(t, err)
	require.Less(t, len(raw), 300, string(raw))
	require.Contains(t, string(raw), "Finished")
}
