package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"

	"github.com/failoverdrill/drill/internal/drill"
)

// LabelPhase is PhaseFinished on a run with which nothing more is to be done. The server sets it in the same write that
// takes the finalizer off, together with the summary; docs/design/018 gives the reasons.
const LabelPhase = "failoverdrill.io/phase"

// Annotations that the server sets on a run.
const (
	AnnotationSummary = "failoverdrill.io/summary" // of a finished run: a Summary, as JSON
	AnnotationFault   = "failoverdrill.io/fault"   // of an admitted run: the kind of its first fault
	AnnotationTargets = "failoverdrill.io/targets" // of an admitted run: the namespaces of its targets, with commas
)

// maxSummary bounds a summary: a server holds one of every record.
const maxSummary = 1 << 10

// Bounds of the names in a summary. They are labels of metrics, too.
const (
	maxSummaryName   = 100
	maxSummaryReason = 240
)

// BySchedule is who made the runs of a schedule, as a part of their series' key.
const BySchedule = "schedule"

const byRequester = "requester/"

// CutBy is who made runs, of the length that a key has.
func CutBy(by string) string { return CutName(by, maxSummaryName) }

// ByRequester is the same of runs that a user asked for.
func ByRequester(user string) string { return byRequester + user }

// SeriesKey tells the runs of one drill from those of others with the same name: two people may call their drills alike,
// and one of them must not be able to speak for the other.
type SeriesKey struct {
	Drill   string `json:"drill"`
	By      string `json:"by,omitempty"`      // BySchedule, or the requester as requester/NAME
	Targets string `json:"targets,omitempty"` // the namespaces of its targets, with commas
}

// Summary is what lists, pages and metrics need of a run, so that its record need not be read for them.
type Summary struct {
	SeriesKey
	Fault      string          `json:"fault,omitempty"` // the kind of the first one
	Trials     int             `json:"trials,omitempty"`
	Started    time.Time       `json:"started"`
	Finished   time.Time       `json:"finished,omitzero"`
	Verdict    drill.Verdict   `json:"verdict,omitempty"`
	Reason     string          `json:"reason,omitempty"` // the first one for the verdict
	Report     bool            `json:"report,omitempty"` // it has one
	Aborted    bool            `json:"aborted,omitempty"`
	Recovery   *drill.Estimate `json:"recovery,omitempty"`
	NoImpact   bool            `json:"no_impact,omitempty"`
	Fresh      *drill.Estimate `json:"fresh,omitempty"`
	Limit      *drill.Seconds  `json:"limit,omitempty"` // of the objective recovery_time
	Lost       *int            `json:"lost,omitempty"`
	LagBefore  *drill.Bounds   `json:"lag_before,omitempty"`
	LagPeak    *drill.Bounds   `json:"lag_peak,omitempty"`
	Redundancy *drill.Seconds  `json:"redundancy,omitempty"`

	// Of a run that is not settled, whose record has been read for this.
	Phase   Phase    `json:"-"`
	Residue []string `json:"-"`
}

// Settled reports whether nothing more is to be done with the run of this metadata.
func Settled(m *metav1.PartialObjectMetadata) bool {
	return m.Labels[LabelPhase] == string(PhaseFinished) && m.Annotations[AnnotationSummary] != "" &&
		!slices.Contains(m.Finalizers, Finalizer)
}

// SummaryOf reads the summary of a settled run; false when there is none that can be read.
func SummaryOf(m *metav1.PartialObjectMetadata) (s Summary, ok bool) {
	if !Settled(m) || len(m.Annotations[AnnotationSummary]) > maxSummary {
		return Summary{}, false
	}
	if err := json.Unmarshal([]byte(m.Annotations[AnnotationSummary]), &s); err != nil {
		return Summary{}, false
	}
	s.Phase = PhaseFinished
	return s, true
}

// encode writes the summary within its bound. What a page would miss least goes first.
func (s Summary) encode() string {
	s.SeriesKey = s.Bounded()
	s.Fault, s.Verdict = CutName(s.Fault, 40), drill.Verdict(CutName(string(s.Verdict), 40))
	s.Reason = CutText(s.Reason, maxSummaryReason)
	drops := []func(){func() { s.LagPeak = nil }, func() { s.Reason = CutText(s.Reason, 100) }, func() { s.Reason = "" },
		func() { s.LagBefore, s.Limit = nil, nil }, func() { s.Fresh = nil }, func() { s.Recovery, s.Redundancy = nil, nil },
		func() {
			s = Summary{SeriesKey: SeriesKey{Drill: CutName(s.Drill, 60), By: CutName(s.By, 30), Targets: CutName(s.Targets, 30)},
				Started: s.Started.UTC(), Finished: s.Finished.UTC(), Verdict: s.Verdict, Report: s.Report, Aborted: s.Aborted}
		}}
	for {
		raw, err := json.Marshal(s)
		if err == nil && len(raw) <= maxSummary || len(drops) == 0 {
			return string(raw)
		}
		drops[0]()
		drops = drops[1:]
	}
}

// Bounded is the key with names of a length that labels can have.
func (k SeriesKey) Bounded() SeriesKey {
	return SeriesKey{Drill: CutName(k.Drill, maxSummaryName), By: CutName(k.By, maxSummaryName), Targets: CutName(k.Targets, maxSummaryName)}
}

// Whose says for people who made the runs of the series, and where their targets are; empty when neither is known.
func (k SeriesKey) Whose() string {
	text := strings.TrimPrefix(k.By, byRequester)
	if k.Targets != "" {
		text += ", in " + strings.ReplaceAll(k.Targets, ",", ", ")
	}
	return strings.TrimPrefix(text, ", ")
}

// By is who made a run: its schedule, or its requester.
func (r *DrillRun) By() string {
	if _, ok := r.ScheduledFor(); ok {
		return BySchedule
	}
	return ByRequester(r.Spec.Requester.User)
}

// TargetsText writes the namespaces of a run's targets as its annotation and its series' key have them.
func TargetsText(namespaces []string) string {
	sorted := slices.Sorted(slices.Values(namespaces))
	return CutName(strings.Join(slices.Compact(sorted), ","), maxSummaryName)
}

// Settle lets a finished record go: it takes the finalizer off, and labels and summarises the run, in one write.
func (s *Runs) Settle(ctx context.Context, run *DrillRun, summary Summary) error {
	text := summary.encode()
	if run.Labels[LabelPhase] == string(PhaseFinished) && run.Annotations[AnnotationSummary] == text && !slices.Contains(run.Finalizers, Finalizer) {
		return nil
	}
	meta := map[string]any{"labels": map[string]string{LabelPhase: string(PhaseFinished)},
		"annotations": map[string]string{AnnotationSummary: text}}
	return s.patchMeta(ctx, run, meta, "settle", func(f []string) []string {
		return slices.DeleteFunc(f, func(f string) bool { return f == Finalizer })
	})
}

// Protect keeps a run's record from deletion, and notes on it what its drill file says, so that nobody needs to read that
// again.
func (s *Runs) Protect(ctx context.Context, run *DrillRun, fault string, targets []string) error {
	if slices.Contains(run.Finalizers, Finalizer) {
		return nil
	}
	meta := map[string]any{"annotations": map[string]string{AnnotationFault: CutName(fault, 40), AnnotationTargets: TargetsText(targets)}}
	return s.patchMeta(ctx, run, meta, "protect", func(f []string) []string { return append(f, Finalizer) })
}

func (s *Runs) patchMeta(ctx context.Context, run *DrillRun, meta map[string]any, what string, finalizers func([]string) []string) error {
	// With the version, because a merge patch replaces the list, and others' finalizers with it.
	meta["resourceVersion"] = run.ResourceVersion
	meta["finalizers"] = finalizers(append([]string{}, run.Finalizers...))
	patch, err := json.Marshal(map[string]any{"metadata": meta})
	if err != nil {
		return fmt.Errorf("encode the metadata of run %s: %w", run.Name, err)
	}
	_, err = s.records.Patch(ctx, run.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: ManagedBy})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("%s run %s: %w", what, run.Name, err)
	}
	if err != nil && what != "settle" {
		return fmt.Errorf("%s run %s: %w", what, run.Name, err)
	}
	return nil
}

// metaPage is how many records' metadata are read at once.
const metaPage = 500

// EachMeta calls each with the metadata of every record in a namespace that the selector picks, by the cluster's own
// word, and never holds more than a page of them.
func EachMeta(ctx context.Context, client metadata.Interface, namespace, selector string, each func(*metav1.PartialObjectMetadata)) error {
	if err := eachMeta(ctx, client.Resource(Resource).Namespace(namespace), selector, each); err != nil {
		return fmt.Errorf("list runs: %w", err)
	}
	return nil
}

func eachMeta(ctx context.Context, objects metadata.ResourceInterface, selector string, each func(*metav1.PartialObjectMetadata)) error {
	options := metav1.ListOptions{LabelSelector: selector, Limit: metaPage}
	for {
		list, err := objects.List(ctx, options)
		if err != nil {
			return err
		}
		for i := range list.Items {
			each(&list.Items[i])
		}
		if options.Continue = list.Continue; options.Continue == "" {
			return nil
		}
	}
}
