// Package server schedules drills, admits runs, starts a runner pod for each, and puts back what a dead runner left.
package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/metrics"
)

// Options are what a server works with.
type Options struct {
	Client    *kube.Client
	Namespace string // of the records, locks and runner pods; drill's own when empty
	Image     string // of the runner pods
	Identity  string // of this replica; the host's name, which is the pod's, when empty
	Listen    string // address of /healthz, /readyz and /metrics; empty for none
	PageAuth  string // who may see the pages: AuthToken, also when empty, or AuthAnonymous
	// MetricsAuth says who may read /metrics: AuthAnonymous, also when empty, or AuthToken.
	MetricsAuth string
	Registry    *prometheus.Registry
	Log         *zap.Logger

	// Prove returns the admission policies that are not in force; kube.Prove when nil.
	Prove    func(ctx context.Context) ([]kube.Hole, error)
	policies *policies // nil in tests of one part

	// Check reads a run's drill file and says what the run needs. An error refuses the run, with the error's text; after an
	// *UnreadableError it is asked twice more, after a *LaterError again.
	Check func(spec kube.Spec, in drill.Inputs) (Request, error)
	// Schedules lists what is scheduled, for the metrics and the page; with Drills, the server knows by itself.
	Schedules func() []metrics.Schedule
	// Revert puts back one recorded fault. It is called any number of times.
	Revert func(ctx context.Context, record kube.FaultRecord, run string) error
	// Drills reads a drill file, and says which of its drills have a schedule and what their runs take along. Without it,
	// the server schedules nothing.
	Drills func(Source) ([]ScheduledDrill, kube.Inputs, error)
	// Directory holds drill files to schedule in the server's own name, beside those of the ConfigMaps; empty for none.
	Directory string
	// StartDeadline is how old a request may be when its run begins; 0 lets it be any age.
	StartDeadline time.Duration
	// DetailBudget is how many bytes the details of runs may take in the cluster; 0 keeps them all.
	DetailBudget int64
	// Keep is how many finished runs of each drill are kept, and KeepFor how long; 0 keeps them all.
	Keep    int
	KeepFor time.Duration
}

// Request is what a run needs, by its drill file.
type Request struct {
	Namespaces []string           // of the targets
	FaultKinds []string           // injected in any of them
	Secrets    []Secret           // read by the runner
	Reads      []drill.Permission // what the runner looks at where there is no target
	Avoid      []Pods             // the targets' pods, whose nodes are no place for the runner
	Ledgers    []string           // the targets in whose databases drill keeps a ledger
	Timeout    time.Duration      // of the whole run
	Asked      kube.Asked         // what limits of the cluster's owner bound
	Trials     int                // how many runs the series has; 0 is one
	Schedule   *drill.Schedule    // nil for a drill that runs by hand only
}

// Source is a drill file to schedule, with what its source gives to its variables.
type Source struct {
	File, Text string
	Recorded   string            // what drill schedule add stored with it, as JSON; empty when it did not
	Beside     map[string]string // else, the variables files beside it, by name
}

// ScheduledDrill is as much of a drill with a schedule as the server needs.
type ScheduledDrill struct {
	Name       string          `json:"name"`
	Fault      string          `json:"fault,omitempty"`      // the kind of its first one
	Namespaces []string        `json:"namespaces,omitempty"` // of its targets
	Schedule   *drill.Schedule `json:"schedule,omitempty"`
}

// Secret names a Secret.
type Secret = kube.SecretName

// Pods names pods by a label selector.
type Pods struct{ Namespace, Selector string }

// Run serves until ctx ends. Of several servers one leads, and does everything but answer HTTP. All state is in the
// cluster, so the next leader goes on where the last one stopped.
func Run(ctx context.Context, o Options) error {
	if o.Namespace == "" {
		o.Namespace = kube.Namespace
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
		o.Registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	if o.Identity == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("find out this server's name: %w", err)
		}
		o.Identity = host
	}
	if o.Image == "" {
		return errors.New("start the server: no image for its runners is named. Set --image or DRILL_IMAGE")
	}
	if o.Prove == nil {
		o.Prove = func(ctx context.Context) ([]kube.Hole, error) { return kube.Prove(ctx, o.Client, o.Namespace) }
	}
	o.policies = &policies{prove: o.Prove, log: o.Log}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	defer wg.Wait()
	e := &elector{index: newIndex(o)}
	wg.Go(func() { e.index.run(ctx) })
	wg.Go(func() { o.policies.run(ctx) })
	if o.Drills != nil {
		o.Schedules = e.schedules
	}
	e.options = o
	if o.Listen != "" {
		serve, err := listen(ctx, o, e)
		if err != nil {
			return err
		}
		wg.Go(func() {
			if err := serve(); err != nil {
				cancel(err)
			}
		})
	}
	err := e.run(ctx)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	cancel(nil)
	return err
}

// elector leads when it is its turn.
type elector struct {
	options   Options
	index     *index
	leading   atomic.Bool
	vital     vital
	lease     atomic.Pointer[leaderelection.HealthzAdaptor]
	scheduler atomic.Pointer[scheduler] // while it leads
}

// schedules lists what is scheduled, as the leader sees it; nothing on a server that does not lead.
func (e *elector) schedules() []metrics.Schedule {
	if s := e.scheduler.Load(); s != nil {
		return s.measured()
	}
	return nil
}

// lead does everything that one server alone may do.
func (e *elector) lead(ctx context.Context) {
	var wg sync.WaitGroup
	if e.options.Drills != nil {
		s := newScheduler(e.options)
		e.scheduler.Store(s)
		defer e.scheduler.Store(nil)
		wg.Go(func() { s.run(ctx) })
	}
	inForce := metrics.NewPolicies(e.options.policies.measured)
	if err := e.options.Registry.Register(inForce); err != nil {
		e.options.Log.Error("whether the policies are in force cannot be exported", zap.Error(err))
	} else {
		defer e.options.Registry.Unregister(inForce)
	}
	wg.Go(func() { keepHeld(ctx, e.options) })
	wg.Go(func() { keepLocks(ctx, e.options) })
	r := newReconciler(e.options, e.index)
	r.alive = e.vital.tick
	wg.Go(func() { r.beats(ctx) })
	r.run(ctx)
	wg.Wait()
}

// healthy is nil unless this server leads and hangs, or does not notice that its lease is over.
func (e *elector) healthy(r *http.Request) error {
	if lease := e.lease.Load(); lease != nil {
		if err := lease.Check(r); err != nil {
			return err
		}
	}
	return e.vital.check()
}

// separate is a client with a rate of its own, or the same one when there can be none.
func separate(client *kube.Client, log *zap.Logger, qps float32, burst int) *kube.Client {
	own, err := client.Separate(qps, burst)
	if err != nil {
		log.Warn("requests share the rate of all others", zap.Error(err))
		return client
	}
	return own
}

// run stands for election, again after each loss, until ctx ends.
func (e *elector) run(ctx context.Context) error {
	o := e.options
	own := separate(o.Client, o.Log, 5, 10) // the lease is renewed however much there is to do
	watchdog := leaderelection.NewLeaderHealthzAdaptor(20 * time.Second)
	e.lease.Store(watchdog)
	for ctx.Err() == nil {
		var leading sync.WaitGroup
		leading.Add(1)
		var started atomic.Bool
		election, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: &resourcelock.LeaseLock{
				LeaseMeta:  metav1.ObjectMeta{Name: "drill-server", Namespace: o.Namespace},
				Client:     own.CoordinationV1(),
				LockConfig: resourcelock.ResourceLockConfig{Identity: o.Identity},
			},
			LeaseDuration:   15 * time.Second,
			RenewDeadline:   10 * time.Second,
			RetryPeriod:     2 * time.Second,
			ReleaseOnCancel: true,
			Name:            "drill-server",
			WatchDog:        watchdog,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(ctx context.Context) {
					defer leading.Done()
					lost, ended := e.vital.began()
					defer ended()
					context.AfterFunc(ctx, lost)
					started.Store(true)
					e.leading.Store(true)
					o.Log.Info("this server leads", zap.String("identity", o.Identity))
					e.lead(ctx)
				},
				OnStoppedLeading: func() { e.leading.Store(false) },
			},
		})
		if err != nil {
			return fmt.Errorf("stand for election: %w", err)
		}
		election.Run(ctx)
		// It starts the callback without waiting for it. It was started unless ctx ended before the election was won.
		if ctx.Err() == nil || started.Load() {
			leading.Wait()
		}
		if ctx.Err() == nil {
			o.Log.Warn("this server does not lead any more; standing for election again")
		}
	}
	return nil
}
