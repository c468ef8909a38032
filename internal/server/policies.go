package server

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// How often the admission policies are proved to be in force: anyway, and before a run is admitted at the latest.
const (
	proveEvery  = time.Minute
	proveAgain  = 5 * time.Second // while one is not, or while it cannot be found out
	proofsFresh = 5 * time.Second // how old a proof may be to admit a run by
)

// policies knows whether the admission policies are in force. Without them anybody could ask in anybody's name, so nothing
// is admitted while one is not, and what was asked for meanwhile is refused.
type policies struct {
	prove func(context.Context) ([]kube.Hole, error)
	log   *zap.Logger

	checking sync.Mutex // one proof at a time

	mu              sync.Mutex
	proved          time.Time   // when all of them were last; zero before the first time
	holes           []kube.Hole // by the last answer
	unsure          error       // why it is not known now
	distrust, since time.Time   // what came about between these two is not trusted: the policies were not in force
}

// run proves them until ctx ends.
func (p *policies) run(ctx context.Context) {
	for {
		again := proveEvery
		if p.check(ctx, time.Time{}) != nil || len(p.open()) > 0 {
			again = proveAgain
		}
		if !pause(ctx, again) {
			return
		}
	}
}

// check proves them now, unless that was done a moment ago, and after the time that is given.
func (p *policies) check(ctx context.Context, after time.Time) error {
	p.checking.Lock()
	defer p.checking.Unlock()
	p.mu.Lock()
	fresh := len(p.holes) == 0 && p.unsure == nil && !p.proved.IsZero() && time.Since(p.proved) < proofsFresh && p.proved.After(after)
	p.mu.Unlock()
	if fresh {
		return nil
	}
	began := time.Now()
	holes, err := p.prove(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unsure = err
	switch {
	case err != nil:
		if ctx.Err() == nil {
			p.log.Warn("it is not known whether the admission policies are in force; nothing is admitted", zap.Error(err))
		}
		return err
	case len(holes) > 0:
		if len(p.holes) == 0 {
			p.log.Error("an admission policy is not in force; nothing is admitted. Apply it again: drill install", zap.String("policy", kindsOf(holes)))
			p.distrust = p.proved // it may have been open since
		}
	case len(p.holes) > 0:
		p.log.Info("the admission policies are in force again")
		// A little later: times of records have the grain of a second, and clocks differ.
		p.proved, p.since = began, began.Add(2*time.Second)
	default:
		p.proved = began
	}
	p.holes = holes
	return nil
}

// open lists the policies that are not in force, as far as is known.
func (p *policies) open() []kube.Hole {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.holes
}

// state is, for people and probes, what keeps this server from admitting anything; empty when nothing does.
func (p *policies) state() string {
	if p == nil {
		return ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case len(p.holes) > 0:
		return "nothing is admitted: an admission policy is not in force (" + kindsOf(p.holes) + "). Apply it again: drill install"
	case p.unsure != nil:
		return fmt.Sprintf("nothing is admitted: it is not known whether the admission policies are in force: %v", p.unsure)
	case p.proved.IsZero():
		return "nothing is admitted yet: the admission policies are being proved"
	}
	return ""
}

// measured is 1 for each policy that is in force and 0 for the others; nothing before that is known.
func (p *policies) measured() map[string]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proved.IsZero() && len(p.holes) == 0 {
		return nil
	}
	all := map[string]bool{}
	for _, name := range kube.Policies() {
		all[name] = true
	}
	for _, h := range p.holes {
		all[h.Policy] = false
	}
	return all
}

// doubtful reports whether something was made, or changed, while a policy was not in force.
func (p *policies) doubtful(at time.Time) bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.since.IsZero() && at.Before(p.since) && !at.Before(p.distrust.Truncate(time.Second))
}

func kindsOf(holes []kube.Hole) string {
	names := make([]string, len(holes))
	for i, h := range holes {
		names[i] = h.String()
	}
	return strings.Join(names, "; ")
}

// policed admits a run only while the admission policies are in force, and were when it was made: else its record may say
// what its author may not say. A run that waits would be admitted later, and so it is refused.
func (r *reconciler) policed(ctx context.Context, a *admission) (passed bool, again time.Duration, err error) {
	p := r.o.policies
	if p == nil {
		return true, 0, nil
	}
	// By a proof that began after the run was there: one from before says nothing of how it was made.
	if err := p.check(ctx, r.remember(a.run.Name).admitted); err != nil {
		return false, proveAgain, nil // it is logged
	}
	if holes := p.open(); len(holes) > 0 {
		return false, 0, r.end(ctx, a.run, drill.VerdictRefused, fmt.Sprintf("An admission policy is not in force, so that anybody can ask in anybody's name: %s. "+
			"An administrator mends it with drill install. Nothing was touched.", kindsOf(holes)))
	}
	if p.doubtful(a.run.CreationTimestamp.Time) {
		return false, 0, r.end(ctx, a.run, drill.VerdictRefused,
			"The run was asked for while an admission policy was not in force, so that anybody could ask in anybody's name. Ask for it again. Nothing was touched.")
	}
	return true, 0, nil
}
