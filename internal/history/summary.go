package history

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// Summarize is what lists, pages and metrics need of a record.
func Summarize(r *kube.DrillRun) kube.Summary {
	e := OfRecord(r)
	s := kube.Summary{SeriesKey: recordedKey(r),
		Fault: r.Annotations[kube.AnnotationFault], Trials: e.Trials, Started: e.Started.UTC().Truncate(time.Millisecond), Verdict: e.Verdict,
		Reason: kube.CutText(e.Reason, kube.MaxText), Recovery: e.Recovery, NoImpact: e.NoImpact, Fresh: e.Fresh, Lost: e.Lost,
		LagBefore: e.LagBefore, LagPeak: e.LagPeak, Redundancy: e.Redundancy, Phase: e.Phase, Residue: kube.CutTexts(r.Residue(), kube.MaxList)}
	if len(r.Status.Faults) > 0 {
		s.Fault = cmp.Or(s.Fault, r.Status.Faults[0].Kind)
	}
	if !r.Finished() {
		return s
	}
	s.Finished = r.CreationTimestamp.UTC()
	if r.Status.Finished != nil {
		s.Finished = r.Status.Finished.UTC()
	}
	rep, err := r.Report()
	if err != nil || rep == nil {
		return s
	}
	s.Report, s.Aborted = true, rep.Abort.Fired
	if len(rep.Faults) > 0 {
		s.Fault = rep.Faults[0].Kind
	}
	if i := slices.IndexFunc(rep.Objectives, func(o drill.ObjectiveReport) bool { return o.Name == drill.ObjectiveRecoveryTime }); i >= 0 {
		s.Limit = rep.Objectives[i].LimitSeconds
	}
	return s
}

// KeyOf tells the series of a record from others of the same drill name. What the server noted counts first.
func KeyOf(r *kube.DrillRun) kube.SeriesKey {
	if s, ok := kube.SummaryOf(&metav1.PartialObjectMetadata{ObjectMeta: r.ObjectMeta}); ok {
		return s.SeriesKey
	}
	return recordedKey(r)
}

func recordedKey(r *kube.DrillRun) kube.SeriesKey {
	key := kube.SeriesKey{Drill: r.Spec.Drill, By: r.By(), Targets: r.Annotations[kube.AnnotationTargets]}
	if rep, err := r.Report(); key.Targets == "" && err == nil && rep != nil { // executed by the process that asked for it
		var namespaces []string
		for _, f := range rep.Faults {
			for _, v := range f.Victims {
				namespaces = append(namespaces, v.Namespace)
			}
		}
		key.Targets = kube.TargetsText(namespaces)
	}
	return key.Bounded()
}

// OfSummary is the entry of a run of which its metadata and its summary are known.
func OfSummary(m *metav1.PartialObjectMetadata, s kube.Summary) Entry {
	e := Entry{Run: m.Name, Drill: s.Drill, By: s.By, Targets: s.Targets, Trial: 1, Trials: s.Trials, Phase: s.Phase, Started: s.Started, Verdict: s.Verdict, Recovery: s.Recovery,
		NoImpact: s.NoImpact, Fresh: s.Fresh, Lost: s.Lost, LagBefore: s.LagBefore, LagPeak: s.LagPeak, Redundancy: s.Redundancy,
		Reason: s.Reason, Residue: s.Residue}
	if n, err := strconv.Atoi(m.Labels[kube.LabelTrial]); err == nil && n > 1 {
		e.Trial = n
	}
	if !s.Finished.IsZero() {
		e.Finished = &s.Finished
	}
	return e
}
