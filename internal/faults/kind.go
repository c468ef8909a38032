// Package faults holds the kinds of fault: how each is planned, injected, confirmed and reverted.
package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hashicorp/hcl/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/schema"
)

// Target is what a fault may ask of the system under test.
type Target interface {
	// Members are those that are there now, with their present roles.
	Members(ctx context.Context) ([]drill.Member, error)
	// Answers reports whether this very member still accepts new connections at its address.
	Answers(ctx context.Context, m drill.Member) bool
	// Connect makes sure that a connection to this very member is open, if the target can. A fault calls it right before
	// the injection, to see in Connection when the member's process ends.
	Connect(ctx context.Context, m drill.Member)
	// Connection is the state of that connection.
	Connection(m drill.Member) drill.Connection
}

// Led is a target of whose members one is primary.
type Led interface {
	Target
	// Primary asks every member and returns the only one that says it is the primary.
	Primary(ctx context.Context) (drill.Member, error)
}

// Deps is what a fault works with. Revert must do with Kube and Run alone, because another process may call it.
type Deps struct {
	Run    string // the run's id
	Kube   kubernetes.Interface
	Target func(name string) (Target, bool) // nil when only reverting
	// Targets are the names of the drill's targets.
	Targets []string
	// Namespace is the target's; empty when only reverting.
	Namespace string
	Agents    Agents
}

// Agents is what a fault needs to put agents on nodes.
type Agents struct {
	Image      string                // empty where none is known: such faults are refused
	Owner      metav1.OwnerReference // the run's record, with which they go at the latest
	Generation func() int64          // the newest that the runner holds; agents refuse an older one
	Timeout    time.Duration         // of the drill
}

// Impl is what the author of a kind writes: typed spec and state, no JSON and no erased types.
type Impl[Spec, State any] interface {
	// Plan reads only: it finds the victims and says what will be done and what puts it back.
	Plan(ctx context.Context, d Deps, name string, spec Spec) (State, drill.FaultPlan, error)
	// Recheck makes sure, right before the injection, that the victim is still what was planned, by asking it;
	// else drill.ErrVictimChanged. It reads only.
	Recheck(ctx context.Context, d Deps, st State) error
	// Inject breaks the victim. A *drill.Refusal says that nothing was touched; a *drill.Curtailed that less was hurt
	// than planned.
	Inject(ctx context.Context, d Deps, st State) error
	// Confirm proves that the fault bites and says how; else drill.ErrNotConfirmed.
	Confirm(ctx context.Context, d Deps, st State) (by string, err error)
	// Revert puts everything back and checks it, from the state alone, by any process, any number of times.
	Revert(ctx context.Context, d Deps, st State) error
}

// preparer is an Impl that makes something before the injection, such as agents on nodes. Its plans say Prepares.
type preparer[State any] interface {
	// Prepare touches no victim. Whatever it makes, Revert takes away, by any process.
	Prepare(ctx context.Context, d Deps, st State) error
}

// holder is an Impl whose fault lasts and could break meanwhile.
type holder[State any] interface {
	// Held proves, when the fault's time is up, that it lasted without a break; else drill.ErrNotConfirmed.
	Held(ctx context.Context, d Deps, st State) error
}

// watched is an Impl whose fault lasts, and that sees by itself when it ends too early.
type watched interface {
	// Broken says so while the fault lasts, without waiting for anything; nil as long as it does.
	Broken() error
}

// primary is the target's primary now.
func (d Deps) primary(ctx context.Context, name string) (drill.Member, error) {
	target, ok := d.Target(name)
	if !ok {
		return drill.Member{}, fmt.Errorf("no target is called %q", name)
	}
	led, ok := target.(Led)
	if !ok {
		return drill.Member{}, fmt.Errorf("target %q has no primary", name)
	}
	return led.Primary(ctx)
}

// Healing says who ends a fault, or makes good what it did, when what should have ended it is gone. docs/faults has the
// whole table, and which test proves each of its cells.
type Healing struct {
	AgentKilled   string `json:"agent_killed,omitempty"` // empty for faults without agents, as the next
	AgentHung     string `json:"agent_hung,omitempty"`
	RunnerLost    string `json:"runner_lost"`
	APIServerLost string `json:"api_server_lost"`
	NodeLost      string `json:"node_lost"`
}

// Kind is one row of the table of faults.
type Kind struct {
	Name        string
	Doc         string
	Example     string       // a block of the kind
	Table       schema.Table // its arguments
	Permissions func(namespace string) []drill.Permission
	Healing     func(drill.FaultPlan) Healing
	Decode      func(hcl.Body, *hcl.EvalContext) (any, *schema.Decoded)
	bind        func(d Deps, name string, spec any) *Fault
	restore     func(d Deps) *Fault
}

// Bind makes a fault of this kind from its decoded block.
func (k Kind) Bind(d Deps, name string, spec any) *Fault { return k.bind(d, name, spec) }

// Restore makes a fault that is good for Revert only.
func (k Kind) Restore(d Deps) *Fault { return k.restore(d) }

// Fault is one configured fault. Its state is JSON, so that another process can revert it.
type Fault struct {
	plan    func(context.Context) (json.RawMessage, drill.FaultPlan, error)
	prepare func(context.Context, json.RawMessage) error
	recheck func(context.Context, json.RawMessage) error
	inject  func(context.Context, json.RawMessage) error
	confirm func(context.Context, json.RawMessage) (string, error)
	held    func(context.Context, json.RawMessage) error
	broken  func() error
	revert  func(context.Context, json.RawMessage) error
}

// Plan finds the victims. It only reads.
func (f *Fault) Plan(ctx context.Context) (json.RawMessage, drill.FaultPlan, error) {
	return f.plan(ctx)
}

// Prepare makes what the fault needs, and touches no victim. The state must be stored before.
func (f *Fault) Prepare(ctx context.Context, state json.RawMessage) error {
	return f.prepare(ctx, state)
}

// Recheck makes sure that the victim is still what was planned. It only reads.
func (f *Fault) Recheck(ctx context.Context, state json.RawMessage) error {
	return f.recheck(ctx, state)
}

// Inject breaks what was planned. The state must be stored before, where another process can find it.
func (f *Fault) Inject(ctx context.Context, state json.RawMessage) error { return f.inject(ctx, state) }

// Confirm proves that the fault bites, and says how.
func (f *Fault) Confirm(ctx context.Context, state json.RawMessage) (string, error) {
	return f.confirm(ctx, state)
}

// Held proves that a fault that was to last did so.
func (f *Fault) Held(ctx context.Context, state json.RawMessage) error { return f.held(ctx, state) }

// Broken says that a fault that is to last has ended before its time. It waits for nothing.
func (f *Fault) Broken() error { return f.broken() }

// Revert puts everything back; it may be called any number of times.
func (f *Fault) Revert(ctx context.Context, state json.RawMessage) error { return f.revert(ctx, state) }

// define erases the types of an Impl. Each fault has one of its own, for an Impl may remember something, such as its
// connections.
func define[Spec, State any](k Kind, make func() Impl[Spec, State], body schema.Body[Spec]) Kind {
	k.Table = body.Table()
	k.Decode = func(b hcl.Body, ctx *hcl.EvalContext) (any, *schema.Decoded) { return body.Decode(b, ctx) }
	k.bind = func(d Deps, name string, spec any) *Fault {
		impl := make()
		f := erase(d, impl)
		f.plan = func(ctx context.Context) (json.RawMessage, drill.FaultPlan, error) {
			st, plan, err := impl.Plan(ctx, d, name, spec.(Spec))
			if err != nil {
				return nil, plan, err
			}
			plan.Kind, plan.Name = k.Name, name
			raw, err := json.Marshal(st)
			return raw, plan, err
		}
		return f
	}
	k.restore = func(d Deps) *Fault { return erase(d, make()) }
	return k
}

func erase[Spec, State any](d Deps, impl Impl[Spec, State]) *Fault {
	step := func(f func(context.Context, Deps, State) error) func(context.Context, json.RawMessage) error {
		return func(ctx context.Context, raw json.RawMessage) error {
			st, err := restoreState[State](raw)
			if err != nil {
				return err
			}
			return f(ctx, d, st)
		}
	}
	none := func(context.Context, Deps, State) error { return nil }
	prepare, held := none, none
	if p, ok := impl.(preparer[State]); ok {
		prepare = p.Prepare
	}
	if h, ok := impl.(holder[State]); ok {
		held = h.Held
	}
	broken := func() error { return nil }
	if w, ok := impl.(watched); ok {
		broken = w.Broken
	}
	return &Fault{
		broken:  broken,
		prepare: step(prepare),
		held:    step(held),
		recheck: step(impl.Recheck),
		inject:  step(impl.Inject),
		confirm: func(ctx context.Context, raw json.RawMessage) (string, error) {
			st, err := restoreState[State](raw)
			if err != nil {
				return "", err
			}
			return impl.Confirm(ctx, d, st)
		},
		revert: step(impl.Revert),
	}
}

func restoreState[State any](raw json.RawMessage) (State, error) {
	var st State
	if err := json.Unmarshal(raw, &st); err != nil {
		return st, fmt.Errorf("read the fault's state: %w", err)
	}
	return st, nil
}

// targetName is the target whose members a fault breaks: the one that it names, else the one that it shares its name with.
// It is no other, even if there is only one: a name that was mistaken must not cost somebody else's database.
func targetName(named, fault string) string {
	if named != "" {
		return named
	}
	return fault
}

// targetArgument is the argument of every fault that has victims among a target's members.
func targetArgument(to *string, doc string) schema.Argument {
	return schema.String("target", to, doc, schema.Default("the target that has the fault's name"))
}
