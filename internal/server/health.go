package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"
	"k8s.io/client-go/discovery"

	"github.com/failoverdrill/drill/internal/kube"
)

// heartbeat is queued with the names of runs, and is none: no object can be called so. That a worker takes it proves that the
// queue moves.
const heartbeat = "/heartbeat"

const (
	beatEvery  = 30 * time.Second
	beatWithin = 5 * time.Minute // a worker may wait for a write to be answered for two minutes
)

// vital tells a leader that works from one that hangs: Kubernetes restarts that by /healthz, and another leads.
type vital struct {
	mu     sync.Mutex
	beat   time.Time // the newest; zero unless it leads
	ending time.Time // since when it leads no more and its work has not stopped; zero when there is none
	term   int       // how often it has begun to lead
}

// began notes that it leads. It returns what notes that it does so no more, and what notes that its work has stopped.
func (v *vital) began() (lost, ended func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.term++
	v.beat, v.ending = time.Now(), time.Time{}
	term, over := v.term, false
	set := func(last bool) {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.term != term || over {
			return
		}
		over, v.beat, v.ending = last, time.Time{}, time.Time{}
		if !last {
			v.ending = time.Now()
		}
	}
	return func() { set(false) }, func() { set(true) }
}

// tick notes that the leader's work goes on.
func (v *vital) tick() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.beat.IsZero() {
		v.beat = time.Now()
	}
}

// check says what hangs.
func (v *vital) check() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case !v.beat.IsZero() && time.Since(v.beat) > beatWithin:
		return fmt.Errorf("this server leads, and has done nothing for %s", time.Since(v.beat).Round(time.Second))
	case !v.ending.IsZero() && time.Since(v.ending) > beatWithin:
		return fmt.Errorf("this server leads no more, and its work has not stopped for %s", time.Since(v.ending).Round(time.Second))
	}
	return nil
}

// beats queues the heartbeat until ctx ends.
func (r *reconciler) beats(ctx context.Context) {
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	for {
		r.queue.Add(heartbeat)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

const (
	readyEvery  = 5 * time.Second
	readyWithin = 3 * readyEvery
)

var errNotAsked = errors.New("the API server has not been asked yet")

// readiness asks the API server by itself, so that nobody who calls /readyz makes it be asked (T17).
type readiness struct {
	client *kube.Client
	log    *zap.Logger

	mu  sync.Mutex
	at  time.Time // of the newest answer
	err error
}

func newReadiness(client *kube.Client, log *zap.Logger) *readiness {
	return &readiness{client: client, log: log, err: errNotAsked}
}

// run asks until ctx ends.
func (r *readiness) run(ctx context.Context) {
	ticker := time.NewTicker(readyEvery)
	defer ticker.Stop()
	for {
		r.ask(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (r *readiness) ask(ctx context.Context) {
	asking, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err := discovery.ToServerVersionInterfaceWithContext(r.client.Discovery()).ServerVersionWithContext(asking)
	if err != nil && ctx.Err() == nil {
		r.log.Warn("not ready: the API server does not answer", zap.Error(err))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err = err; err == nil {
		r.at = time.Now()
	}
}

// ready is nil when the API server answered a short while ago.
func (r *readiness) ready() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil && time.Since(r.at) > readyWithin {
		return fmt.Errorf("the API server has not answered for %s", time.Since(r.at).Round(time.Second))
	}
	return r.err
}
