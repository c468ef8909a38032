package kube

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
)

// Journal is the run's memory in the cluster, for the one process that is in charge of the run. It implements
// runner.Journal.
type Journal struct {
	runs *Runs
	name string
	by   string // who reverts, for people

	mu         sync.Mutex // one write at a time, or two of our own would supersede each other
	generation int64
	tried      *FaultRecord // an injection whose write may or may not have been carried out
}

// Journal opens the memory of a run for the process that holds its generation: see Claim and TakeOver.
func (s *Runs) Journal(name string, generation int64) *Journal {
	return &Journal{runs: s, name: name, generation: generation}
}

// By names the process that writes, for people who read later who put back what had been residue. It returns the journal.
func (j *Journal) By(who string) *Journal {
	j.by = who
	return j
}

// Generation is the newest generation of the run that this process holds.
func (j *Journal) Generation() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.generation
}

// Preparing stores how to take away what is made for a fault before it is injected, and raises the run's generation.
// Nothing may be made unless it returns nil.
func (j *Journal) Preparing(ctx context.Context, kind, name string, state json.RawMessage) error {
	return j.record(ctx, FaultRecord{Kind: kind, Name: name, State: state, Phase: FaultPreparing})
}

// Injecting stores how to revert a fault and raises the run's generation. It fails when somebody else is in charge by
// now. Nothing may be injected unless it returns nil.
func (j *Journal) Injecting(ctx context.Context, kind, name string, state json.RawMessage) error {
	return j.record(ctx, FaultRecord{Kind: kind, Name: name, State: state, Phase: FaultInjecting})
}

func (j *Journal) record(ctx context.Context, record FaultRecord) error {
	kind, name, state := record.Kind, record.Name, record.State
	if !json.Valid(state) || !bytes.HasPrefix(bytes.TrimSpace(state), []byte("{")) {
		return fmt.Errorf("record fault %q %q: its state is not a JSON object", kind, name)
	}
	if len(state) > maxStates {
		return fmt.Errorf("record fault %q %q: its state is %d KiB long, and a record holds %d. Let it touch less", kind, name, len(state)>>10, maxStates>>10)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	run, err := j.runs.change(ctx, j.name, brief, func(run *DrillRun, _ bool) (bool, error) {
		before := j.generation
		if err := j.inCharge(run); err != nil {
			return false, err
		}
		if j.generation > before {
			return false, nil // an earlier attempt got through after all
		}
		if run.Status.Phase != PhaseRunning {
			return false, fmt.Errorf("record %s of run %s: %w", record, j.name, ErrNotRunning)
		}
		known := run.fault(kind, name)
		if states := run.states(kind, name) + len(state); states > maxStates {
			return false, fmt.Errorf("record %s of run %s: the states of its faults are %d KiB long, and a record holds %d. Let them touch less", record, j.name, states>>10, maxStates>>10)
		}
		switch {
		case known == nil:
			run.Status.Faults = append(run.Status.Faults, record)
		case known.Phase != FaultReverted && (known.Phase != FaultPreparing || record.Phase != FaultInjecting):
			// Its state is the only way back from the first injection.
			return false, fmt.Errorf("record %s of run %s: it is recorded as %s and not reverted yet", record, j.name, known.Phase)
		default:
			// It goes to the end: what is injected last is reverted first, whenever it was prepared.
			run.Status.Faults = slices.DeleteFunc(run.Status.Faults, func(f FaultRecord) bool { return f.Kind == kind && f.Name == name })
			run.Status.Faults = append(run.Status.Faults, record)
		}
		run.Status.Generation++
		j.tried = &record
		return true, nil
	})
	if err != nil {
		return err
	}
	j.generation, j.tried = run.Status.Generation, nil
	return nil
}

// Reverted notes that nothing is left of the fault, or what is.
func (j *Journal) Reverted(ctx context.Context, kind, name string, residue []string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, err := j.runs.change(ctx, j.name, patient, func(run *DrillRun, _ bool) (bool, error) {
		if err := j.inCharge(run); err != nil {
			return false, err
		}
		known := run.fault(kind, name)
		if known == nil {
			return false, fmt.Errorf("record fault %q %q of run %s as reverted: there is no record of it", kind, name, j.name)
		}
		if len(residue) > 0 {
			known.Phase, known.Residue, known.Cleared, known.By = FaultResidue, boundResidue(residue), nil, ""
			return true, nil
		}
		if known.Phase == FaultResidue {
			j.clear(run, known)
		}
		known.Phase, known.Residue = FaultReverted, nil
		return true, nil
	})
	return err
}

// Answers reads the record, and fails when the API server does not answer.
func (j *Journal) Answers(ctx context.Context) error {
	_, err := j.runs.Get(ctx, j.name)
	if err != nil && Retriable(err) {
		return err
	}
	return nil
}

// clear notes that what had been residue is gone. The verdict and the report stay what they were when the run ended.
func (j *Journal) clear(run *DrillRun, fault *FaultRecord) {
	now := metav1.Now()
	fault.Cleared, fault.By = &now, cmp.Or(j.by, "its runner")
	if run.Finished() && len(run.Status.Message) < maxMessage {
		run.Status.Message = strings.TrimSpace(fmt.Sprintf("%s The residue of %s was put back at %s by %s.",
			run.Status.Message, fault, now.UTC().Format(time.RFC3339), fault.By))
	}
}

// maxMessage is how long a message may be for another sentence to be added.
const maxMessage = MaxText

// Bounds of what a run's faults may take in its record, beside a long drill file: together with it, the report and the
// metadata they stay below what etcd takes. What is too large for the journal is not injected.
const (
	maxStates  = 256 << 10 // bytes of the states of all its faults
	maxResidue = 512       // bytes of one text of what is left
)

// boundResidue cleans and bounds what is left of a fault.
func boundResidue(residue []string) []string {
	short := CutTexts(drill.CleanAll(residue), MaxList)
	for i := range short {
		short[i] = CutText(short[i], maxResidue)
	}
	return short
}

// states is how long the states of the run's faults are, but for one of them.
func (r *DrillRun) states(kind, name string) int {
	n := 0
	for _, f := range r.Status.Faults {
		if f.Kind != kind || f.Name != name {
			n += len(f.State)
		}
	}
	return n
}

// bound cuts what older processes may have written at length.
func (r *DrillRun) bound() {
	for i := range r.Status.Faults {
		r.Status.Faults[i].Residue = boundResidue(r.Status.Faults[i].Residue)
	}
}

// Finish ends the run. It fails when somebody else is in charge by now, whose word counts instead.
func (j *Journal) Finish(ctx context.Context, o Outcome) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.runs.finish(ctx, j.name, o, j.inCharge)
}

// inCharge reports whether the record is still ours to write. Only an injection adds an open record of a fault, so a
// generation that is one ahead, with the record that we tried to write, is our own work whose answer got lost.
func (j *Journal) inCharge(run *DrillRun) error {
	if j.tried != nil && run.Status.Generation == j.generation+1 {
		if known := run.fault(j.tried.Kind, j.tried.Name); known != nil && known.Phase == j.tried.Phase {
			j.generation, j.tried = run.Status.Generation, nil
		}
	}
	if run.Status.Generation != j.generation {
		return fmt.Errorf("write run %s: %w (generation %d, ours is %d)", j.name, ErrSuperseded, run.Status.Generation, j.generation)
	}
	return nil
}
