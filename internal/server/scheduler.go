package server

import (
	"context"
	"crypto/sha256"
	"fmt"
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
	tables    *schedule.Tables
	since     map[string]time.Time // when each schedule was found first: a book that cannot be saved does not know it

	mu      sync.Mutex
	entries []schedule.Entry
}

func newScheduler(o Options) *scheduler {
	return &scheduler{o: o, schedules: kube.NewSchedules(o.Client, o.Namespace), runs: kube.NewRuns(o.Client.Dynamic, o.Namespace),
		wake: make(chan struct{}, 1), files: map[string]parsed{}, attempts: map[string]*attempt{},
		tables: new(schedule.Tables), since: map[string]time.Time{}}
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
		all = append(all, metrics.Schedule{Key: metrics.Key(kube.SeriesKey{Drill: e.Drill, By: kube.BySchedule, Targets: e.Targets}.Bounded()), Fault: e.Fault, Next: e.Upcoming(), Missed: uint64(e.Missed)})
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
		if err := p.check(ctx, time.Time{}); err != nil || len(p.open()) > 0 {
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
	book.Use(s.tables)
	book.Update(now, found.sources, found.problems, s.firstFound(found.installed(), now))
	var made []schedule.Run
	if !s.listed || book.Pending(now) {
		if made, err = s.made(ctx, book.Entries); err != nil {
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

// firstFound notes when each schedule was found first as it is now.
func (s *scheduler) firstFound(installed []schedule.Installed, now time.Time) []schedule.Installed {
	since := map[string]time.Time{}
	for i := range installed {
		one := &installed[i]
		key := fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%q %v", one.Drill, one.Schedule)))
		at, known := s.since[key]
		if !known {
			at = now
		}
		since[key], one.Since = at, at
	}
	s.since = since
	return installed
}

// made lists the runs that schedules made, without reading their records.
func (s *scheduler) made(ctx context.Context, entries []schedule.Entry) ([]schedule.Run, error) {
	byLabel := map[string][]string{}
	for _, e := range entries {
		label := kube.ScheduleLabel(e.Drill)
		byLabel[label] = append(byLabel[label], e.Drill)
	}
	var made []schedule.Run
	err := kube.EachMeta(ctx, s.o.Client.Metadata, s.o.Namespace, kube.LabelSchedule, func(m *metav1.PartialObjectMetadata) {
		r := kube.DrillRun{ObjectMeta: m.ObjectMeta}
		due, ok := r.ScheduledFor()
		if !ok {
			return
		}
		series, _ := r.Trial()
		drills := byLabel[m.Labels[kube.LabelSchedule]]
		for _, name := range drills {
			if len(drills) == 1 || kube.ScheduledRunID(due, name) == series { // labels of two names may be the same
				// Until it is settled another trial may follow, or something of it may be left.
				made = append(made, schedule.Run{Drill: name, For: due, Name: series, Finished: kube.Settled(m)})
			}
		}
	})
	return made, err
}

// show puts the problems of each ConfigMap on it, where its owner looks.
func (s *scheduler) show(ctx context.Context, problems []schedule.SourceProblem) error {
	for _, object := range s.cache.List() {
		cm, ok := object.(*corev1.ConfigMap)
		if !ok {
			continue
		}
		text := kube.CutText(textOf(problems, sourceOf(cm)), kube.MaxText)
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
