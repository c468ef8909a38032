package server

import (
	"cmp"
	"context"
	"time"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/cache"

	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/metrics"
)

// unknownFault is the label of a run whose drill file cannot be read.
const unknownFault = "unknown"

// storeAgain is how soon totals that could not be stored are tried again.
const storeAgain = 5 * time.Second

// recorder shows in the metrics what the records say, for as long as this server leads.
type recorder struct {
	o        Options
	runs     *kube.Runs
	metrics  *metrics.Server
	informer cache.SharedIndexInformer
	wake     chan struct{}
	decoded  map[string]decoded // by UID
}

// decoded is a record in the form in which it was read last.
type decoded struct {
	version string
	record  metrics.Record
}

// newRecorder observes the records that the informer sees.
func newRecorder(o Options, runs *kube.Runs, informer cache.SharedIndexInformer) *recorder {
	r := &recorder{o: o, runs: runs, informer: informer, wake: make(chan struct{}, 1), decoded: map[string]decoded{},
		metrics: metrics.NewServer(kube.NewTotals(o.Client.Interface, o.Namespace), o.Schedules)}
	changed := func() {
		select {
		case r.wake <- struct{}{}:
		default: // it will look at all of them anyway
		}
	}
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{ // fails on a stopped informer only
		AddFunc: func(any) { changed() },
		UpdateFunc: func(before, after any) {
			if versionOf(before) != versionOf(after) {
				changed()
			}
		},
		DeleteFunc: func(any) { changed() },
	})
	return r
}

func versionOf(object any) string {
	if u, ok := object.(*unstructured.Unstructured); ok {
		return u.GetResourceVersion()
	}
	return ""
}

// run exports the series until ctx ends, which it does when another server leads.
func (r *recorder) run(ctx context.Context) {
	for {
		err := r.metrics.Rebuild(ctx, r.read)
		if err == nil {
			break
		}
		r.o.Log.Warn("the metrics of earlier runs cannot be rebuilt yet", zap.Error(err))
		if !pause(ctx, storeAgain) {
			return
		}
	}
	if !cache.WaitForCacheSync(ctx.Done(), r.informer.HasSynced) {
		return
	}
	if err := r.o.Registry.Register(r.metrics); err != nil {
		r.o.Log.Error("the metrics of runs cannot be exported", zap.Error(err))
		return
	}
	defer r.o.Registry.Unregister(r.metrics)
	for {
		var again <-chan time.Time
		if err := r.metrics.Sync(ctx, r.cached()); err != nil && ctx.Err() == nil {
			r.o.Log.Warn("a run is not counted yet", zap.Error(err))
			again = time.After(storeAgain)
		}
		select {
		case <-r.wake:
		case <-again:
		case <-ctx.Done():
			return
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// read returns every record, by the cluster's own word.
func (r *recorder) read(ctx context.Context) ([]metrics.Record, error) {
	all, err := r.runs.List(ctx)
	if err != nil {
		return nil, err
	}
	records := make([]metrics.Record, 0, len(all))
	for _, run := range all {
		records = append(records, r.record(run))
	}
	return records, nil
}

// cached returns every record that the informer has.
func (r *recorder) cached() []metrics.Record {
	var records []metrics.Record
	now := map[string]decoded{}
	for _, object := range r.informer.GetStore().List() {
		u, ok := object.(*unstructured.Unstructured)
		if !ok {
			continue
		}
		uid := string(u.GetUID())
		d, known := r.decoded[uid]
		if !known || d.version != u.GetResourceVersion() {
			run, err := kube.DecodeRun(u)
			if err != nil {
				r.o.Log.Warn("a record cannot be read, and does not count", zap.Error(err))
				continue
			}
			d = decoded{version: u.GetResourceVersion(), record: r.record(run)}
		}
		now[uid] = d
		records = append(records, d.record)
	}
	r.decoded = now
	return records
}

// record is a run as the metrics see it.
func (r *recorder) record(run *kube.DrillRun) metrics.Record {
	m := metrics.Record{UID: string(run.UID), Run: run.Name, Drill: run.Spec.Drill, Running: run.Status.Phase == kube.PhaseRunning,
		Residue: len(run.Residue())}
	report, err := run.Report()
	if err != nil {
		r.o.Log.Warn("a run counts without its numbers", zap.Error(err))
	}
	m.Report = report
	switch {
	case report != nil && len(report.Faults) > 0:
		m.Fault = report.Faults[0].Kind
	case len(run.Status.Faults) > 0:
		m.Fault = run.Status.Faults[0].Kind
	default:
		m.Fault = cmp.Or(r.faultKind(run.Spec), unknownFault)
	}
	if run.Finished() {
		m.Over, m.Verdict, m.Ended = true, run.Status.Verdict, run.CreationTimestamp.Time
		if run.Status.Finished != nil {
			m.Ended = run.Status.Finished.Time
		}
	}
	return m
}

// faultKind survives a drill file that makes its reader panic.
func (r *recorder) faultKind(spec kube.Spec) (kind string) {
	defer func() {
		if recover() != nil {
			kind = ""
		}
	}()
	if r.o.FaultKind == nil {
		return ""
	}
	return r.o.FaultKind(spec)
}
