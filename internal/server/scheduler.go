package server

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/metrics"
	"github.com/failoverdrill/drill/internal/schedule"
)

// How long the scheduler sleeps at most. A machine that was suspended, or whose clock was set, is noticed after that.
const (
	idlePass  = 10 * time.Second
	retryPass = 2 * time.Second
)

// scheduler makes the runs that are due. What it knows is in the book, which it reads and writes at every pass: the
// next leader goes on where this one stopped.
type scheduler struct {
	o         Options
	schedules *kube.Schedules
	runs      *kube.Runs
	wake      chan struct{}
	cache     cache.Store // of ConfigMaps
	me        kube.Requester
	listed    bool // the runs, once
	files     map[string]parsed
	attempts  map[string]*attempt // by the intent's token

	mu      sync.Mutex
	entries []schedule.Entry
}

func newScheduler(o Options) *scheduler {
	return &scheduler{o: o, schedules: kube.NewSchedules(o.Client, o.Namespace), runs: kube.NewRuns(o.Client.Dynamic, o.Namespace),
		wake: make(chan struct{}, 1), files: map[string]parsed{}, attempts: map[string]*attempt{}}
}

// list is the book as it was saved last.
func (s *scheduler) list() []schedule.Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.entries)
}

// measured is the same for the metrics.
func (s *scheduler) measured() []metrics.Schedule {
	var all []metrics.Schedule
	for _, e := range s.list() {
		all = append(all, metrics.Schedule{Drill: e.Drill, Fault: e.Fault, Next: e.Upcoming(), Missed: uint64(e.Missed)})
	}
	return all
}

// run works until ctx ends.
func (s *scheduler) run(ctx context.Context) {
	factory := informers.NewSharedInformerFactoryWithOptions(s.o.Client.Interface, resync, informers.WithNamespace(s.o.Namespace),
		informers.WithTweakListOptions(func(l *metav1.ListOptions) { l.LabelSelector = kube.LabelDrills + "=" + kube.Scheduled }))
	informer := factory.Core().V1().ConfigMaps().Informer()
	changed := func(any) {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{ // fails on a stopped informer only
		AddFunc: changed, UpdateFunc: func(_, o any) { changed(o) }, DeleteFunc: changed})
	s.cache = informer.GetStore()
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return
	}
	for {
		again, err := s.pass(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.o.Log.Warn("will look at the schedules again", zap.Error(err))
			again = retryPass
		}
		timer := time.NewTimer(again)
		select {
		case <-timer.C:
		case <-s.wake:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// pass does what is due, and returns when to look again.
func (s *scheduler) pass(ctx context.Context) (time.Duration, error) {
	if p := s.o.policies; p != nil { // else anybody could have scheduled in anybody's name
		if err := p.check(ctx); err != nil || len(p.open()) > 0 {
			return proveAgain, nil // it is logged
		}
	}
	if s.o.Directory != "" && s.me.User == "" {
		me, err := s.o.Client.WhoAmI(ctx)
		if err != nil {
			return 0, err
		}
		s.me = me
	}
	kept, err := s.open(ctx)
	if err != nil {
		return 0, err
	}
	book := kept.book
	missed := map[string]int{}
	for _, e := range book.Entries {
		missed[e.Drill] = e.Missed
	}
	found := s.find()
	if found.later != nil {
		return 0, found.later
	}
	now := time.Now()
	book.Update(now, found.sources, found.problems, found.installed())
	var made []schedule.Run
	if !s.listed || book.Pending(now) {
		if made, err = s.made(ctx); err != nil {
			return 0, err
		}
		s.listed = true
	}
	s.settle(book, made)
	due, err := s.unheld(ctx, book, book.Decide(now, made))
	if err != nil {
		return 0, err
	}
	err = s.startAll(ctx, kept, due, found.drills)
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return 0, nil // somebody else was faster: look again at what is there now
	}
	if err != nil {
		return 0, err
	}
	for _, e := range book.Entries {
		if e.Missed > missed[e.Drill] && e.Newest != nil {
			s.o.Log.Warn("a scheduled run was missed", zap.String("drill", e.Drill), zap.Int("missed", e.Missed-missed[e.Drill]),
				zap.String("newest", e.Newest.At.UTC().Format(time.RFC3339)), zap.String("reason", e.Newest.Reason))
		}
	}
	s.mu.Lock()
	s.entries = book.Entries
	s.mu.Unlock()
	if err := s.show(ctx, book.Problems); err != nil {
		return 0, err
	}
	again := idlePass
	if next := book.Next(); !next.IsZero() {
		again = min(again, max(time.Until(next), 0))
	}
	if book.Pending(time.Now()) { // what could not be started
		again = retryPass
	}
	return again, nil
}

// made lists the runs that schedules made.
func (s *scheduler) made(ctx context.Context) ([]schedule.Run, error) {
	records, err := s.runs.ListScheduled(ctx)
	if err != nil {
		return nil, err
	}
	var made []schedule.Run
	for _, r := range records {
		if due, ok := r.ScheduledFor(); ok {
			// With its finalizer it has not been let go, and another trial may follow.
			over := r.Finished() && !slices.Contains(r.Finalizers, kube.Finalizer)
			series, _ := r.Trial()
			made = append(made, schedule.Run{Drill: r.Spec.Drill, For: due, Name: series, Finished: over})
		}
	}
	return made, nil
}

// show puts the problems of each ConfigMap on it, where its owner looks.
func (s *scheduler) show(ctx context.Context, problems []schedule.SourceProblem) error {
	for _, object := range s.cache.List() {
		cm, ok := object.(*corev1.ConfigMap)
		if !ok {
			continue
		}
		text := textOf(problems, sourceOf(cm))
		if cm.Annotations[kube.AnnotationProblem] == text {
			continue
		}
		if text != "" {
			s.o.Log.Warn("not everything in a ConfigMap is scheduled", zap.String("configmap", cm.Name), zap.String("problem", text))
		}
		if err := s.schedules.SetProblem(ctx, cm.Name, text); err != nil {
			return err
		}
	}
	return nil
}
