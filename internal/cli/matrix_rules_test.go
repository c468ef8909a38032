package cli

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/test/fakeapi"
)

// watched is what the cluster has seen of the run, change by change. It is written under the API server's lock, and by a
// partition's injection under the cluster's.
type watched struct {
	mu         sync.Mutex
	record     *kube.DrillRun
	gone       bool                // the record was deleted
	marks      map[string]struct{} // what a fault has in the cluster now: a cordon, a hold, agents
	locks      map[string]struct{}
	victims    int // pods that were killed
	cordons    int
	cuts       int
	overtaken  bool // another than the runner has raised the generation
	lateness   bool // writes may come late in this cell
	broken     []string
	generation int64
}

func (w *watched) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(w.broken, text) {
		w.broken = append(w.broken, text)
	}
}

// observe looks at every change, and at what must hold after each.
func (c *cluster) observe(change fakeapi.Change) {
	w := &c.watched
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.marks == nil {
		w.marks, w.locks = map[string]struct{}{}, map[string]struct{}{}
	}
	o, there := change.Object(), change.After != nil
	set := func(in map[string]struct{}, what string, is bool) {
		if delete(in, what); is {
			in[what] = struct{}{}
		}
	}
	what := change.Resource + "/" + o.GetName()
	switch component := o.GetLabels()[kube.LabelComponent]; {
	case change.Resource == "drillruns":
		w.observeRecord(change)
	case change.Resource == "nodes":
		_, was := w.marks[what]
		cordoned := there && o.Object["spec"].(map[string]any)["unschedulable"] == true
		if set(w.marks, what, cordoned); cordoned && !was {
			w.cordons++
			w.hurt(change.By, what+" was cordoned")
		}
	case change.Resource == "configmaps" && o.GetName() == kube.HeldMembers:
		data, _ := o.Object["data"].(map[string]any)
		_, was := w.marks[what]
		held := there && len(data) > 0
		if set(w.marks, what, held); held && !was {
			w.cordons++
			w.hurt(change.By, what+" was held")
		}
	case component == "agent":
		set(w.marks, what, there)
	case component == "lock":
		set(w.locks, what, there)
	case change.Resource == "pods" && o.GetNamespace() == "shop" && change.By != "":
		if change.Before != nil && change.Before.GetDeletionTimestamp() == nil && (!there || o.GetDeletionTimestamp() != nil) {
			w.victims++
			w.hurt(change.By, what+" was killed")
		}
	}
	if len(w.marks) > 0 && !w.open() {
		w.note("%s is there without an open record of the fault, after %s of %s", strings.Join(keys(w.marks), ", "), what, change.By)
	}
	if len(w.marks) > 0 && len(w.locks) == 0 && w.record != nil && w.record.Status.Phase == kube.PhaseRunning && !w.lateness {
		w.note("%s is there, and the run holds no lock", strings.Join(keys(w.marks), ", "))
	}
	if w.record != nil && w.record.Finished() && len(w.locks) > 0 && change.Resource == "drillruns" {
		w.note("the record is finished, and %s is held", strings.Join(keys(w.locks), ", "))
	}
}

func (w *watched) observeRecord(change fakeapi.Change) {
	if change.After == nil {
		w.gone = true
		return
	}
	r, err := kube.DecodeRun(change.After)
	if err != nil {
		w.note("the record cannot be read: %v", err)
		return
	}
	if r.Status.Generation < w.generation {
		w.note("the generation fell from %d to %d", w.generation, r.Status.Generation)
	}
	if r.Status.Generation > w.generation && change.By != "runner" {
		w.overtaken = true
	}
	if w.overtaken && change.By == "runner" {
		w.note("the runner wrote the record after it had been superseded")
	}
	w.generation, w.record = r.Status.Generation, r
}

// hurt is called when a victim is touched.
func (w *watched) hurt(by, what string) {
	switch {
	case by != "runner":
		w.note("%s by %q, which is not the runner", what, by)
	case w.record == nil || !w.open():
		w.note("%s without an open record", what)
	case w.record.Finished():
		w.note("%s after the end of the run", what)
	case w.overtaken && !w.lateness:
		w.note("%s by a runner that had been superseded", what)
	}
}

func (w *watched) injected(p *process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cuts++
	if p.died.IsZero() {
		w.hurt("runner", "the network was cut")
	}
}

// open reports whether the record says that a fault may be there, so that somebody works at it, and cannot go away.
func (w *watched) open() bool {
	return w.record != nil && !w.gone && slices.Contains(w.record.Finalizers, kube.Finalizer) && slices.ContainsFunc(w.record.Status.Faults, func(f kube.FaultRecord) bool { return f.Phase != kube.FaultReverted })
}

func keys(of map[string]struct{}) []string {
	var all []string
	for k := range of {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

// judge says what of the invariants does not hold at the end, when everything has had its time.
func (c *cluster) judge(x matrixCell) []string {
	w := &c.watched
	cut := c.cutOff()
	w.mu.Lock()
	defer w.mu.Unlock()
	bad := slices.Clone(w.broken)
	say := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	r := c.record()
	if r == nil {
		return append(bad, "the record is gone")
	}
	if !r.Finished() {
		say("the run has not ended: it is %s", r.Status.Phase)
	}
	if slices.Contains(r.Finalizers, kube.Finalizer) {
		say("the record is still held by its finalizer: %s", r.Status.Message)
	}
	if len(w.marks) > 0 {
		say("%s is left", strings.Join(keys(w.marks), ", "))
	}
	if len(w.locks) > 0 {
		say("%s is left", strings.Join(keys(w.locks), ", "))
	}
	for _, f := range r.Status.Faults {
		if f.Phase != kube.FaultReverted {
			say("%s is recorded as %s: %s", f, f.Phase, strings.Join(f.Residue, "; "))
		}
	}
	if w.victims > 1 || w.cordons > 1 || w.cuts > 1 {
		say("injected more than once: %d victims, %d cordons, %d cuts", w.victims, w.cordons, w.cuts)
	}
	if cut {
		say("the network is cut")
	}
	passed := r.Status.Verdict == drill.VerdictPassed
	if passed && w.victims+w.cuts == 0 {
		say("the verdict is passed, and nothing was injected")
	}
	report, err := r.Report()
	whole := report != nil && !slices.ContainsFunc(report.Faults, func(f drill.FaultReport) bool { return !f.Confirmed || !f.Reverted })
	if passed && (!whole || x.kind == "hold_down" && w.cordons == 0) {
		say("the verdict is passed, and its fault was lost")
	}
	alive := x.actor == actorHealthy || x.actor == actorRunner && !x.trouble.Mode.Deadly()
	if alive && (report == nil || err != nil) {
		say("its numbers are lost: %s: %s", r.Status.Verdict, r.Status.Message)
	}
	if x.actor == actorHealthy && !passed {
		say("nothing was wrong but one of the server's writes, and the verdict is %s: %s", r.Status.Verdict, r.Status.Message)
	}
	if r.Status.Finished != nil && r.Status.Finished.Sub(r.CreationTimestamp.Time) > 20*time.Minute {
		say("it took %v", r.Status.Finished.Sub(r.CreationTimestamp.Time))
	}
	return bad
}
