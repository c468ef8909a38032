package runner

import (
	"context"
	"encoding/json"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// Target is the system under test.
type Target interface {
	Name() string
	// Open checks that the target can be drilled (members found, the login works, exactly one primary) and makes the
	// ledger, if it keeps one. It returns the members. Problems that the user can mend are *drill.Refusal.
	Open(ctx context.Context) ([]drill.Member, error)
	// Probes are the target's own probes, if it has any: the ledger writer and one pinned probe per member.
	Probes() []drill.Probe
	// Close removes the ledger and every session. It may be called after a failed Open.
	Close(ctx context.Context) error
}

// Ledger is a target that takes drill's writes.
type Ledger interface {
	// ReadBack reads what every member holds of the ledger; it waits for replicas to catch up with the primary.
	ReadBack(ctx context.Context) (drill.ReadBack, error)
}

// Leadership is a target of whose members one is primary.
type Leadership interface {
	// Watch reports the three views of who is primary whenever one changes, until ctx ends.
	Watch(ctx context.Context, changed func(drill.Views)) error
}

// Membership is a target whose members are all alike.
type Membership interface {
	// WatchMembers reports who can serve whenever that changes, until ctx ends.
	WatchMembers(ctx context.Context, changed func(drill.Readiness)) error
}

// Fault is one configured fault; its state is JSON, so that another process can revert it.
type Fault interface {
	Plan(ctx context.Context) (state json.RawMessage, plan drill.FaultPlan, err error)
	// Prepare makes what the fault needs and touches no victim; it is called for plans with Prepares alone. Revert
	// takes everything away again.
	Prepare(ctx context.Context, state json.RawMessage) error
	// Recheck returns drill.ErrVictimChanged when the victim is no longer what was planned.
	Recheck(ctx context.Context, state json.RawMessage) error
	// Inject breaks what was planned. A *drill.Refusal says that nothing was touched; a *drill.Curtailed that less was
	// hurt than planned.
	Inject(ctx context.Context, state json.RawMessage) error
	Confirm(ctx context.Context, state json.RawMessage) (by string, err error)
	// Held returns drill.ErrNotConfirmed when a fault that was to last cannot be shown to have done so without a break.
	// It is called when its time is up, right before it is reverted.
	Held(ctx context.Context, state json.RawMessage) error
	// Broken returns drill.ErrNotConfirmed as soon as such a fault is seen to have ended before its time. It is asked all
	// the time while the fault lasts, and waits for nothing.
	Broken() error
	Revert(ctx context.Context, state json.RawMessage) error
}

// Journal makes what a later process must know durable, before the deed.
type Journal interface {
	// Preparing stores how to take away what a fault's preparation makes. Nothing is made unless it returns nil.
	Preparing(ctx context.Context, kind, name string, state json.RawMessage) error
	// Injecting stores how to revert a fault. Nothing is injected unless it returns nil.
	Injecting(ctx context.Context, kind, name string, state json.RawMessage) error
	// Reverted notes that nothing is left of the fault, or what is.
	Reverted(ctx context.Context, kind, name string, residue []string) error
}

// Answering is a journal that can say whether anybody can be asked at all. While nobody answers, a fault that cannot be
// reverted is not residue yet.
type Answering interface {
	Answers(ctx context.Context) error
}

// Guard bounds what a run may touch, and when. What it says no to is a *drill.Refusal.
type Guard interface {
	// Allows judges the plans of all faults together.
	Allows(plans []drill.FaultPlan) error
	// Quiet looks whether anything is wrong already that must not be, and refuses when nobody can say.
	Quiet(ctx context.Context) error
}

// Lock lets one run at a time into each scope.
type Lock interface {
	// Acquire takes every scope or none. Lost is closed when the lock cannot be held any more.
	Acquire(ctx context.Context, scopes []string) (release func(context.Context) error, lost <-chan struct{}, err error)
}

// Expiring is a lock that knows until when, on this process's clock, it holds without another renewal.
type Expiring interface{ Until() time.Time }

// Recorder keeps the run's events, for its report.
type Recorder interface {
	// Append takes the next event, and keeps nothing that belongs to the caller.
	Append(drill.Event)
	// Recording is everything so far, with what the head says of the run.
	Recording(head drill.Recording) (drill.Recording, error)
}

// Observer is shown the events of the run, in order. It may take as long as it likes: an Outbox stands before it.
type Observer interface{ Observe(drill.Event) }

// Sampler takes slots of probes on the run's clock until ctx ends, and hands over each as soon as its outcome is known.
type Sampler func(ctx context.Context, s drill.Sampling)
