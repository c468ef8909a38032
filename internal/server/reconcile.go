package server

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

const (
	componentRunner = "runner"
	workers         = 4
	resync          = 30 * time.Second
)

// How soon a run is looked at again without an event.
const (
	whileHanded   = 200 * time.Millisecond
	whileStarting = 2 * time.Second
	whileRunning  = 10 * time.Second
	whileDoubtful = 3 * time.Second
)

// reconciler brings every run one step on, from what is in the cluster alone. What it remembers are only times since
// when it has seen something; forgetting them makes it slower, never wrong.
type reconciler struct {
	o     Options
	runs  *kube.Runs
	index *index
	open  cache.SharedIndexInformer // of the runs that are not labelled as settled: there long before the index is
	queue workqueue.TypedRateLimitingInterface[string]
	alive func() // is told that a worker took the heartbeat
	*background

	mu         sync.Mutex
	memories   map[string]*memory
	unlabelled map[string]bool // runs of an older drill that wait to be labelled
	reading    reading
}

// memory is since when the server has seen a run in some state, by its own clock.
type memory struct {
	admitted time.Time
	trouble  map[string]time.Time
	pulse    *kube.Pulse
	request  *Request  // what its file says, once it has been read
	asked    time.Time // when the requester's rights were asked again
	failed   int       // attempts in a row to revert what is left of the finished run
	next     time.Time // of them
}

func newReconciler(o Options, x *index) *reconciler {
	return &reconciler{
		o:     o,
		runs:  kube.NewRuns(o.Client.Dynamic, o.Namespace),
		index: x,
		open: metaInformer(o, kube.Resource, func(l *metav1.ListOptions) {
			l.LabelSelector = kube.LabelPhase + "!=" + string(kube.PhaseFinished)
		}),
		queue: workqueue.NewTypedRateLimitingQueue(
			workqueue.NewTypedItemExponentialFailureRateLimiter[string](200*time.Millisecond, 15*time.Second)),
		alive:      func() {},
		background: newBackground(),
		memories:   map[string]*memory{}, unlabelled: map[string]bool{},
		reading: newReading(),
	}
}

// run works until ctx ends.
func (r *reconciler) run(ctx context.Context) {
	pods := metaInformer(r.o, corev1.SchemeGroupVersion.WithResource("pods"), func(l *metav1.ListOptions) {
		l.LabelSelector = labels.Set{kube.LabelManagedBy: kube.ManagedBy, kube.LabelComponent: componentRunner}.String()
	})
	defer r.watch(r.open, r.runOfRecord)()
	// The index outlives this leader, which must not be told any more when it has ended.
	defer r.watch(r.index.informer, r.runOfOther)()
	defer r.watch(pods, r.runOfPod)()
	recorded := newRecorder(r.o, r.index)
	var wg sync.WaitGroup
	wg.Go(func() { r.open.RunWithContext(ctx) })
	wg.Go(func() {
		// What is open is there soon. Without it every pod of a run that is over would be a reason to read its record.
		if cache.WaitForCacheSync(ctx.Done(), r.open.HasSynced) {
			pods.RunWithContext(ctx)
		}
	})
	wg.Go(func() { recorded.run(ctx) })
	wg.Go(func() { pruneDetails(ctx, r.o) })
	wg.Go(func() { retain(ctx, r.o, r.index, pods.GetStore(), recorded.metrics.Counted) })
	wg.Go(func() { sweepAgents(ctx, r.o) })
	for range workers {
		wg.Go(func() {
			for r.next(ctx) {
			}
		})
	}
	<-ctx.Done()
	r.queue.ShutDown()
	wg.Wait()
	r.jobs.Wait()
}

// watch queues the run that a changed object belongs to, until it is stopped.
func (r *reconciler) watch(informer cache.SharedIndexInformer, runOf func(any) string) (stop func()) {
	add := func(object any) {
		if run := runOf(object); run != "" {
			r.queue.Add(run)
		}
	}
	handler, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    add,
		UpdateFunc: func(_, object any) { add(object) },
		DeleteFunc: func(object any) {
			if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = gone.Obj
			}
			add(object)
		},
	})
	if err != nil { // it was stopped, and so is the server
		return func() {}
	}
	return func() { _ = informer.RemoveEventHandler(handler) }
}

// How runs of an older drill, which did not label them, get their labels: slowly, because there may be many, and each is
// read and written for it. What is open has a finalizer, and what waits is young.
const (
	lateAfter = time.Hour
	lateEvery = 50 * time.Millisecond
)

// runOfRecord leaves out the runs with which nothing more is to be done, of which there may be many.
func (r *reconciler) runOfRecord(object any) string {
	m, ok := object.(*metav1.PartialObjectMetadata)
	if !ok || kube.Settled(m) {
		return ""
	}
	if slices.Contains(m.Finalizers, kube.Finalizer) || time.Since(m.CreationTimestamp.Time) < lateAfter || m.CreationTimestamp.IsZero() {
		return m.Name
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.unlabelled[m.Name] {
		r.unlabelled[m.Name] = true
		r.queue.AddAfter(m.Name, time.Duration(len(r.unlabelled))*lateEvery)
	}
	return ""
}

// runOfOther is for the index, and leaves out what is open, too. What is left are runs with the label of those that are
// settled which are not: a backup, or an administrator, may make such.
func (r *reconciler) runOfOther(object any) string {
	if m, ok := object.(*metav1.PartialObjectMetadata); !ok || m.Labels[kube.LabelPhase] != string(kube.PhaseFinished) {
		return ""
	}
	return r.runOfRecord(object)
}

// runOfPod leaves out the pods of runs that are settled or gone, of which there may be thousands.
func (r *reconciler) runOfPod(object any) string {
	pod, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return ""
	}
	run := pod.Labels[kube.LabelRun]
	_, open, _ := r.open.GetStore().GetByKey(r.o.Namespace + "/" + run)
	if m := r.index.find(run); !open && (m == nil || kube.Settled(m)) {
		return "" // an open run that is not known yet is queued when it is
	}
	return run
}

func (r *reconciler) next(ctx context.Context) bool {
	name, shutdown := r.queue.Get()
	if shutdown {
		return false
	}
	defer r.queue.Done(name)
	if name == heartbeat {
		r.alive()
		r.queue.Forget(name)
		return true
	}
	again, err := r.reconcile(ctx, name)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		r.o.Log.Warn("will try again", zap.String("run", name), zap.Error(err))
		r.queue.AddRateLimited(name)
	default:
		r.queue.Forget(name)
		if again > 0 {
			r.queue.AddAfter(name, again)
		}
	}
	return true
}

// reconcile reads the record afresh and does the one thing that is due. It returns when to look again; 0 is on the next
// event only.
func (r *reconciler) reconcile(ctx context.Context, name string) (time.Duration, error) {
	if r.working(name) {
		return whileMending, nil
	}
	run, err := r.runs.Get(ctx, name)
	if apierrors.IsNotFound(err) {
		r.forget(name)
		r.waitsNoMore(name)
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if run.Status.Phase != "" && run.Status.Phase != kube.PhasePending {
		r.waitsNoMore(name)
	}
	var again time.Duration
	switch run.Status.Phase {
	case "", kube.PhasePending:
		again, err = r.admit(ctx, run)
	case kube.PhaseAdmitted:
		again, err = r.begin(ctx, run)
	case kube.PhaseRunning:
		again, err = r.supervise(ctx, run)
	case kube.PhaseFinished:
		again, err = r.settle(ctx, run)
	}
	if overtaken(err) {
		return time.Second, nil // another process was faster: look again at what is there now
	}
	return again, err
}

// overtaken reports whether a write failed because another process had changed the run.
func overtaken(err error) bool {
	return errors.Is(err, kube.ErrClaimed) || errors.Is(err, kube.ErrFinished) || errors.Is(err, kube.ErrSuperseded)
}

// end finishes a run of which nothing has been touched.
func (r *reconciler) end(ctx context.Context, run *kube.DrillRun, verdict drill.Verdict, message string) error {
	if err := r.runs.Finish(ctx, run.Name, kube.Outcome{Verdict: verdict, Message: message}); err != nil {
		return err
	}
	r.dropInputs(ctx, run)
	r.o.Log.Info("run ended before it began", zap.String("run", run.Name), zap.String("verdict", string(verdict)), zap.String("message", message))
	return nil
}

// dropInputs removes the secret values of a run that is over. If that fails, they go with its record.
func (r *reconciler) dropInputs(ctx context.Context, run *kube.DrillRun) {
	if err := kube.RemoveInputs(ctx, r.o.Client, run); err != nil {
		r.o.Log.Warn("the run's secret values stay until its record goes", zap.String("run", run.Name), zap.Error(err))
	}
}

func (r *reconciler) remember(name string) *memory {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.memories[name]
	if m == nil {
		m = &memory{admitted: time.Now(), asked: time.Now(), trouble: map[string]time.Time{}}
		r.memories[name] = m
	}
	return m
}

func (r *reconciler) forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.memories, name)
	delete(r.unlabelled, name)
}

// lasted reports whether something has been seen for longer than it may last.
func (m *memory) lasted(what string, patience time.Duration) bool {
	since, known := m.trouble[what]
	if !known {
		since = time.Now()
		m.trouble[what] = since
	}
	return time.Since(since) >= patience
}
