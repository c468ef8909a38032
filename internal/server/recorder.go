package server

import (
	"context"
	"math"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/metrics"
)

// unknownFault is the label of a run whose drill file was never read.
const unknownFault = "unknown"

// storeAgain is how soon totals that could not be stored are tried again.
const storeAgain = 5 * time.Second

// recorder shows in the metrics what the records say, for as long as this server leads.
type recorder struct {
	o       Options
	metrics *metrics.Server
	index   *index
	wake    chan struct{}
}

// newRecorder observes the records that the index sees.
func newRecorder(o Options, x *index) *recorder {
	r := &recorder{o: o, index: x, wake: make(chan struct{}, 1)}
	r.metrics = metrics.NewServer(kube.NewTotals(o.Client.Interface, o.Namespace), r.report, o.Schedules)
	return r
}

// observe wakes the recorder on every change, until it is stopped.
func (r *recorder) observe() (stop func()) {
	changed := func() {
		select {
		case r.wake <- struct{}{}:
		default: // it will look at all of them anyway
		}
	}
	handler, err := r.index.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { changed() },
		UpdateFunc: func(before, after any) {
			if versionOf(before) != versionOf(after) {
				changed()
			}
		},
		DeleteFunc: func(any) { changed() },
	})
	if err != nil { // the informer was stopped, and so is the server
		return func() {}
	}
	return func() { _ = r.index.informer.RemoveEventHandler(handler) }
}

func versionOf(object any) string {
	if m, ok := object.(*metav1.PartialObjectMetadata); ok {
		return m.ResourceVersion
	}
	return ""
}

// run exports the series until ctx ends, which it does when another server leads.
func (r *recorder) run(ctx context.Context) {
	defer r.observe()()
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
	if !r.index.synced(ctx) {
		return
	}
	if err := r.o.Registry.Register(r.metrics); err != nil {
		r.o.Log.Error("the metrics of runs cannot be exported", zap.Error(err))
		return
	}
	defer r.o.Registry.Unregister(r.metrics)
	for {
		var again <-chan time.Time
		if err := r.sync(ctx); err != nil && ctx.Err() == nil {
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

func (r *recorder) sync(ctx context.Context) error {
	entries, err := r.index.entries(ctx, math.MaxInt)
	if err != nil {
		return err
	}
	return r.metrics.Sync(ctx, recordsOf(entries))
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
	entries, err := r.index.listed(ctx)
	return recordsOf(entries), err
}

// report loads the report of one run.
func (r *recorder) report(ctx context.Context, record metrics.Record) (*drill.Report, error) {
	run, err := r.index.runs.Get(ctx, record.Run)
	switch {
	case apierrors.IsNotFound(err), err == nil && string(run.UID) != record.UID:
		return nil, nil
	case err != nil:
		return nil, err
	}
	report, err := run.Report()
	if err != nil {
		r.o.Log.Warn("a run counts without its numbers", zap.Error(err))
	}
	return report, nil
}

// recordsOf are runs as the metrics see them.
func recordsOf(entries []entry) []metrics.Record {
	records := make([]metrics.Record, 0, len(entries))
	for _, e := range entries {
		m := metrics.Record{Key: metrics.Key(e.SeriesKey), UID: string(e.UID), Run: e.Name, Fault: e.Fault, Running: e.Phase == kube.PhaseRunning,
			Residue: len(e.Residue)}
		if e.read && e.Phase == kube.PhaseFinished {
			m.Over, m.Verdict, m.Ended, m.Reported, m.Aborted = true, e.Verdict, e.Finished, e.Report, e.Aborted
			m.Recovered = e.Recovery != nil && !math.IsInf(float64(e.Recovery.Estimate), 1)
			if m.Fault == "" {
				m.Fault = unknownFault
			}
		}
		records = append(records, m)
	}
	return records
}
