package server

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"
)

// whileMending is how soon a run is looked at again while something is being put back for it.
const whileMending = 2 * time.Second

// revertsAtOnce bounds the attempts to revert that are under way at the same time.
const revertsAtOnce = 16

// background does what may take minutes for one run, such as reverting on a node that does not answer, so that it keeps
// no worker from the other runs. It does one job at a time for each run.
type background struct {
	slots chan struct{}
	jobs  sync.WaitGroup

	mu   sync.Mutex
	busy map[string]bool
}

func newBackground() *background {
	return &background{slots: make(chan struct{}, revertsAtOnce), busy: map[string]bool{}}
}

// working reports whether a job for the run is under way.
func (b *background) working(run string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.busy[run]
}

// slot waits until another attempt to revert may begin.
func (b *background) slot(ctx context.Context) (free func(), err error) {
	select {
	case b.slots <- struct{}{}:
		return func() { <-b.slots }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// start begins a job for the run, unless one is under way. When it ends, the run is looked at again.
func (r *reconciler) start(ctx context.Context, run string, job func(context.Context) error) time.Duration {
	b := r.background
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.busy[run] {
		return whileMending
	}
	b.busy[run] = true
	b.jobs.Go(func() {
		err := job(ctx)
		b.mu.Lock()
		delete(b.busy, run)
		b.mu.Unlock()
		switch {
		case ctx.Err() != nil:
		case overtaken(err), err == nil:
			r.queue.AddAfter(run, time.Second)
		default:
			r.o.Log.Warn("will try again", zap.String("run", run), zap.Error(err))
			r.queue.AddRateLimited(run)
		}
	})
	return whileMending
}
