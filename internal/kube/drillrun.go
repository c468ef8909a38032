package kube

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/failoverdrill/drill/internal/drill"
)

// Resource is the custom resource that holds a run.
var Resource = schema.GroupVersionResource{Group: "failoverdrill.io", Version: "v1alpha1", Resource: "drillruns"}

// Kind is the kind of the custom resource.
const Kind = "DrillRun"

// Finalizer keeps a record from disappearing while it is the only place that knows how to revert a fault.
const Finalizer = "failoverdrill.io/reverted"

// Bounds of a record, so that it stays small for etcd.
const (
	MaxSource = 256 << 10 // bytes of HCL text
	MaxReport = 16 << 10  // bytes of the report's JSON
)

// DrillRun is the record of one run. The spec is the requester's, the status is drill's.
type DrillRun struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              Spec   `json:"spec"`
	Status            Status `json:"status,omitzero"`
}

// Spec is what was asked for. Only Cancel may change, and only to true.
type Spec struct {
	Drill     string    `json:"drill"`
	File      string    `json:"file"`   // the path as given
	Source    string    `json:"source"` // the HCL text
	Requester Requester `json:"requester"`
	Inputs    Inputs    `json:"inputs,omitzero"`
	// Local says that the requester's own process executes the run: the server makes no runner pod for it.
	Local  bool `json:"local,omitempty"`
	Cancel bool `json:"cancel,omitempty"`
}

// Requester is who asked for the run, by the cluster's word. A run does nothing that its requester may not.
type Requester struct {
	User   string   `json:"user"`
	Groups []string `json:"groups,omitempty"`
}

// Phase is how far a run has come.
type Phase string

// The phases of a run. A new record has none yet, which is the same as pending.
const (
	PhasePending  Phase = "Pending"
	PhaseAdmitted Phase = "Admitted" // the requester may; there is a runner pod
	PhaseRunning  Phase = "Running"  // a runner has claimed the run
	PhaseFinished Phase = "Finished"
)

// Status is what became of the run.
type Status struct {
	Phase   Phase         `json:"phase,omitempty"`
	Verdict drill.Verdict `json:"verdict,omitempty"`
	Message string        `json:"message,omitempty"`
	// Generation is raised, by compare-and-swap, by whoever is about to touch the target. Who finds it raised by
	// another is not in charge any more.
	Generation int64         `json:"generation,omitempty"`
	Reads      int           `json:"reads,omitempty"` // how often a server began to read the drill file
	Runner     Runner        `json:"runner,omitzero"`
	Faults     []FaultRecord `json:"faults,omitempty"`
	Started    *metav1.Time  `json:"started,omitempty"`
	Finished   *metav1.Time  `json:"finished,omitempty"`
	// Report is the drill.Report. It is kept as it came, so that an older process loses nothing of a newer one's.
	Report json.RawMessage `json:"report,omitempty"`
	Detail *DetailRecord   `json:"detail,omitempty"` // nil when there was none to store
}

// Runner is the process that executes the run.
type Runner struct {
	Pod     string       `json:"pod,omitempty"`
	UID     string       `json:"uid,omitempty"` // of the pod; empty until the runner has claimed the run
	Node    string       `json:"node,omitempty"`
	Started *metav1.Time `json:"started,omitempty"`
}

// FaultPhase is how far a recorded fault has come, as far as a later process must know.
type FaultPhase string

// The phases of a recorded fault.
const (
	FaultPreparing FaultPhase = "preparing" // what it needs may be there, the fault is not: revert it
	FaultInjecting FaultPhase = "injecting" // it may be there: revert it
	FaultReverted  FaultPhase = "reverted"
	FaultResidue   FaultPhase = "residue" // reverting failed so far: the server goes on trying
)

// FaultRecord is enough to revert a fault from another process.
type FaultRecord struct {
	Kind    string          `json:"kind"`
	Name    string          `json:"name"`
	State   json.RawMessage `json:"state"`
	Phase   FaultPhase      `json:"phase"`
	Residue []string        `json:"residue,omitempty"`
	// Cleared is when what had been residue was gone, and By which process reverted it then.
	Cleared *metav1.Time `json:"cleared,omitempty"`
	By      string       `json:"by,omitempty"`
}

// String names the fault as the drill file does.
func (f FaultRecord) String() string { return fmt.Sprintf("fault %q %q", f.Kind, f.Name) }

// Finished reports whether nothing more will happen in the run.
func (r *DrillRun) Finished() bool { return r.Status.Phase == PhaseFinished }

// CancelRequested reports whether somebody wants the run to end: by cancelling it or by deleting its record.
func (r *DrillRun) CancelRequested() bool { return r.Spec.Cancel || r.DeletionTimestamp != nil }

// CancelledBecause says how the run came to be cancelled, in one clause.
func (r *DrillRun) CancelledBecause() string {
	if why := r.Annotations[AnnotationCancelled]; why != "" {
		return "the server cancelled the run: " + why
	}
	return "the run was cancelled"
}

// AllAhead reports whether the run has injected nothing so far. What faults need may be there already.
func (r *DrillRun) AllAhead() bool {
	return !slices.ContainsFunc(r.Status.Faults, func(f FaultRecord) bool { return f.Phase != FaultPreparing })
}

// ScheduledFor is the due time for which a schedule made the run; false when it was made by hand.
func (r *DrillRun) ScheduledFor() (due time.Time, ok bool) {
	due, err := time.Parse(time.RFC3339, r.Annotations[AnnotationScheduledFor])
	return due, err == nil && r.Labels[LabelSchedule] != ""
}

// Report decodes the report; it is nil when the run ended without one.
func (r *DrillRun) Report() (*drill.Report, error) {
	if len(r.Status.Report) == 0 {
		return nil, nil
	}
	report := new(drill.Report)
	if err := json.Unmarshal(r.Status.Report, report); err != nil {
		return nil, fmt.Errorf("read the report of run %s: %w", r.Name, err)
	}
	return report, nil
}

// Residue lists what the run's faults left behind.
func (r *DrillRun) Residue() []string {
	var all []string
	for _, f := range r.Status.Faults {
		if f.Phase == FaultResidue {
			all = append(all, f.Residue...)
		}
	}
	return all
}

// HadResidue reports whether one of the run's faults left something behind, also when it was reverted later.
func (r *DrillRun) HadResidue() bool {
	return slices.ContainsFunc(r.Status.Faults, func(f FaultRecord) bool { return f.Phase == FaultResidue || f.Cleared != nil })
}

// Unreverted lists the faults that may still be there, the last one first: that is the order to revert them in.
func (r *DrillRun) Unreverted() []FaultRecord {
	var left []FaultRecord
	for _, f := range r.Status.Faults {
		if f.Phase != FaultReverted {
			left = append(left, f)
		}
	}
	slices.Reverse(left)
	return left
}

// fault finds the record of a fault.
func (r *DrillRun) fault(kind, name string) *FaultRecord {
	i := slices.IndexFunc(r.Status.Faults, func(f FaultRecord) bool { return f.Kind == kind && f.Name == name })
	if i < 0 {
		return nil
	}
	return &r.Status.Faults[i]
}

func (r *DrillRun) unstructured() (*unstructured.Unstructured, error) {
	r.APIVersion, r.Kind = Resource.GroupVersion().String(), Kind
	raw, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode run %s: %w", r.Name, err)
	}
	u := new(unstructured.Unstructured)
	if err := u.UnmarshalJSON(raw); err != nil {
		return nil, fmt.Errorf("encode run %s: %w", r.Name, err)
	}
	return u, nil
}

// DecodeRun reads a record as an informer holds it.
func DecodeRun(u *unstructured.Unstructured) (*DrillRun, error) { return fromUnstructured(u) }

func fromUnstructured(u *unstructured.Unstructured) (*DrillRun, error) {
	raw, err := u.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("decode run %s: %w", u.GetName(), err)
	}
	r := new(DrillRun)
	if err := json.Unmarshal(raw, r); err != nil {
		return nil, fmt.Errorf("decode run %s: %w", u.GetName(), err)
	}
	return r, nil
}
