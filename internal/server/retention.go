package server

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/history"
	"github.com/failoverdrill/drill/internal/kube"
)

const (
	retainEvery = time.Minute
	retainBatch = 100 // deletions in one pass
	// keepAll is how many records there may be at all. Of what is beyond, those who made the most lose their oldest first.
	keepAll = 5000
	// podsKept is how long a finished runner pod stays after its run, for its log.
	podsKept = time.Hour
	podsMost = 200 // of them at most
)

// retain removes the oldest finished runs and their pods until ctx ends.
func retain(ctx context.Context, o Options, x *index, pods cache.Store, counted func(uid string) bool) {
	apart := o.Client.Apart()
	for pause(ctx, retainEvery) {
		for {
			entries, err := x.entries(ctx, 0)
			if err != nil {
				break
			}
			old := outdated(entries, o.Keep, o.KeepFor, time.Now(), counted)
			more := len(old) > retainBatch
			err = removeAll(ctx, old[:min(retainBatch, len(old))], func(e entry) error {
				return apart.Dynamic.Resource(kube.Resource).Namespace(o.Namespace).Delete(ctx, e.Name, metav1.DeleteOptions{
					Preconditions:     &metav1.Preconditions{UID: &e.UID, ResourceVersion: &e.ResourceVersion},
					PropagationPolicy: new(metav1.DeletePropagationBackground)})
			})
			if err != nil {
				if ctx.Err() == nil {
					o.Log.Warn("old runs cannot be removed", zap.Error(err))
				}
				break
			}
			if len(old) > 0 {
				o.Log.Info("old runs were removed; the totals keep them", zap.Int("runs", min(retainBatch, len(old))))
			}
			if !more || !pause(ctx, 5*time.Second) {
				break
			}
		}
		err := removeAll(ctx, outdatedPods(pods, x, time.Now()), func(p *metav1.PartialObjectMetadata) error {
			return apart.CoreV1().Pods(o.Namespace).Delete(ctx, p.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: new(p.UID)}})
		})
		if err != nil && ctx.Err() == nil {
			o.Log.Warn("the pods of old runs cannot be removed", zap.Error(err))
		}
	}
}

func removeAll[T any](ctx context.Context, all []T, remove func(T) error) error {
	for _, one := range all {
		err := remove(one)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return fmt.Errorf("remove: %w", err)
		}
	}
	return nil
}

// outdated are the runs to remove, the oldest first. It takes none that is not settled, not in the totals yet, or of a
// series that is not over or is its drill's newest: trials are compared with the earlier ones.
func outdated(entries []entry, keep int, keepFor time.Duration, now time.Time, counted func(uid string) bool) []entry {
	if keep <= 0 && keepFor <= 0 {
		return nil
	}
	open := map[string]bool{} // series
	for _, e := range entries {
		if !kube.Settled(e.PartialObjectMetadata) {
			open[seriesOf(e.PartialObjectMetadata)] = true
		}
	}
	type held struct {
		n      int
		series string // the newest run's
		passed bool   // one that passed is among them
	}
	groups := map[kube.SeriesKey]*held{}
	by := map[string]int{}
	var old, kept []entry
	for _, e := range entries { // the newest first
		g := groups[e.SeriesKey]
		if g == nil {
			g = &held{series: seriesOf(e.PartialObjectMetadata)}
			groups[e.SeriesKey] = g
		}
		g.n++
		by[e.By]++
		// The newest one that passed stays: how long ago that was is what the page is for.
		lastPassed := !g.passed && e.Verdict == drill.VerdictPassed
		g.passed = g.passed || lastPassed
		series := seriesOf(e.PartialObjectMetadata)
		if !kube.Settled(e.PartialObjectMetadata) || len(e.Finalizers) > 0 || e.DeletionTimestamp != nil || !counted(string(e.UID)) || open[series] {
			continue
		}
		tooOld := keepFor > 0 && now.Sub(e.Finished) > keepFor
		tooMany := keep > 0 && g.n > keep && series != g.series && !lastPassed
		if tooOld || tooMany {
			old = append(old, e)
			by[e.By]--
		} else {
			kept = append(kept, e)
		}
	}
	// The names of drills are free, so that a bound for each of them is none for all.
	for beyond := len(entries) - len(old) - keepAll; beyond > 0 && len(kept) > 0; beyond-- {
		i := len(kept) - 1
		for j, e := range slices.Backward(kept) {
			if by[e.By] > by[kept[i].By] {
				i = j
			}
		}
		by[kept[i].By]--
		old = append(old, kept[i])
		kept = slices.Delete(kept, i, i+1)
		if len(old) > retainBatch { // the next pass sees the others
			break
		}
	}
	slices.SortFunc(old, func(a, b entry) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return old
}

func seriesOf(m *metav1.PartialObjectMetadata) string {
	return cmp.Or(m.Labels[kube.LabelSeries], m.Name)
}

// outdatedPods are the runner pods of settled runs whose logs nobody has wanted for a while.
func outdatedPods(pods cache.Store, x *index, now time.Time) []*metav1.PartialObjectMetadata {
	type finished struct {
		pod *metav1.PartialObjectMetadata
		at  time.Time
	}
	var all []finished
	for _, object := range pods.List() {
		pod, ok := object.(*metav1.PartialObjectMetadata)
		if !ok || pod.DeletionTimestamp != nil {
			continue
		}
		m := x.find(pod.Labels[kube.LabelRun])
		if m == nil || pod.Name != kube.RunnerPod(m.Name) {
			continue // the garbage collector's, or nobody's
		}
		if s, ok := kube.SummaryOf(m); ok {
			all = append(all, finished{pod, s.Finished})
		}
	}
	slices.SortFunc(all, func(a, b finished) int { return b.at.Compare(a.at) })
	var old []*metav1.PartialObjectMetadata
	for i, f := range slices.Backward(all) {
		if (now.Sub(f.at) > podsKept || i >= podsMost) && len(old) < retainBatch {
			old = append(old, f.pod)
		}
	}
	return old
}

// letGo is the last that the server does with a run: it summarises it, and takes its finalizer off.
func (r *reconciler) letGo(ctx context.Context, run *kube.DrillRun) error {
	if err := r.runs.Settle(ctx, run, r.summarize(run)); err != nil {
		return err
	}
	r.forget(run.Name)
	return nil
}

// summarize adds what this server knows of a run's file when the run ended before that was noted on it.
func (r *reconciler) summarize(run *kube.DrillRun) kube.Summary {
	s := history.Summarize(run)
	r.mu.Lock()
	if m := r.memories[run.Name]; m != nil && m.request != nil {
		s.Fault = cmp.Or(s.Fault, m.request.fault())
		s.Targets = cmp.Or(s.Targets, kube.TargetsText(m.request.Namespaces))
	}
	r.mu.Unlock()
	s.Fault = cmp.Or(s.Fault, unknownFault)
	return s
}

// fault is the kind of the first fault.
func (q Request) fault() string {
	if len(q.FaultKinds) == 0 {
		return ""
	}
	return q.FaultKinds[0]
}
