package server

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/failoverdrill/drill/internal/kube"
)

const (
	// heldEvery is how often it is looked whether a member is held down that must not be any more.
	heldEvery = 5 * time.Second
	// heldOver is how long after its end a hold may still be there: its runner ends it, and this is for when that does not.
	heldOver = 30 * time.Second
)

// keepHeld lets go of members whose hold is overdue, or whose run is over, until ctx ends. It goes by the map alone: what
// the records say, and whether they are there, is no matter.
func keepHeld(ctx context.Context, o Options) {
	if o.Namespace != kube.Namespace {
		return // the map is of the runs of drill's own namespace
	}
	h := &heldMembers{options: o, runs: kube.NewRuns(o.Client.Dynamic, o.Namespace), seen: map[string]seenHold{}}
	for {
		if err := h.sweep(ctx); err != nil && ctx.Err() == nil {
			o.Log.Warn("which members are held down cannot be looked at", zap.Error(err))
		}
		if !pause(ctx, heldEvery) {
			return
		}
	}
}

// heldMembers is what one leader has seen of the map.
type heldMembers struct {
	options Options
	runs    *kube.Runs
	seen    map[string]seenHold // by key
}

// seenHold is since when an entry has been seen, by a clock that nobody sets.
type seenHold struct {
	member kube.HeldMember
	since  time.Time
}

// sweep lets go of what must not be held any more.
func (h *heldMembers) sweep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, heldEvery)
	defer cancel()
	held, version, err := kube.ReadHeld(ctx, h.options.Client)
	if err != nil {
		return err
	}
	for key := range h.seen {
		if _, still := held[key]; !still {
			delete(h.seen, key)
		}
	}
	var over []string
	for key, m := range held {
		why, err := h.over(ctx, key, m)
		if err != nil {
			h.options.Log.Warn("whether a member must still be held down cannot be looked up", zap.String("member", key), zap.Error(err))
			continue // its time comes, whatever becomes of this
		}
		if why != "" {
			over = append(over, key)
			h.options.Log.Warn("a member is let go that was held down", zap.String("member", key), zap.String("run", m.Run), zap.String("why", why))
		}
	}
	slices.Sort(over)
	// After a change in between nothing is removed; the next look decides again.
	err = kube.DropHeld(ctx, h.options.Client, over, version)
	if apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// over says why an entry must go; "" while it may stay. The runner's clock and this one's may differ, so a hold is over
// when either says so.
func (h *heldMembers) over(ctx context.Context, key string, m kube.HeldMember) (string, error) {
	if m.Run == "" {
		return "nobody can read for which run", nil
	}
	now := time.Now()
	seen, known := h.seen[key]
	if !known || seen.member.Run != m.Run || seen.member.UID != m.UID { // a later change of its end is no reason to wait longer
		seen = seenHold{m, now}
		h.seen[key] = seen
	}
	longest := time.Duration(m.Hold*float64(time.Second)) + heldOver
	if now.Sub(seen.since) > longest || now.After(m.Until.Add(heldOver)) {
		return "its time is up", nil
	}
	run, err := h.runs.Get(ctx, m.Run)
	switch {
	case apierrors.IsNotFound(err):
		return "there is no such run", nil
	case err != nil:
		return "", err
	case run.Finished():
		return "the run is over", nil
	}
	return "", nil
}
