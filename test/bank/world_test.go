package bank

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"sync"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// at is a moment in seconds after the fault, in a script; negative before it.
type at = float64

// forever is later than any run's end.
const forever at = 1e6

// reply is what becomes of one request.
type reply struct {
	by     string // the member that answers; empty: nobody does
	after  float64
	signal string // how it fails; empty: it succeeds
	lost   bool   // acknowledged, and not kept
}

// fails is a request that is refused at once.
func fails(signal string) reply { return reply{signal: signal} }

// script is how a database of three members behaves: by default orders-0 dies at 0, and orders-1 takes over.
type script struct {
	detected, promoted, routed, back at // of the takeover
	rejoin                           at // when the old primary is back as a replica
	lag                              func(member string, t at) float64
	pooled, fresh                    func(w *world, t at, r reply) reply
	pinned                           func(w *world, member string, t at, r reply) reply
	leads                            func(t at) string   // who takes writes; replaces the takeover
	views                            func(t at) []string // label, service and member's word, each a name or empty; replaces the takeover's
	second                           func(t at) bool     // orders-1 takes writes beside orders-0, and clients stay where they are
	claims                           func(t at) string   // a member that calls itself primary, and takes writes of whoever reaches it, beside who leads
	epoch                            func(member string, t at) int64
	readBack                         func(w *world, back *drill.ReadBack)
	spared                           bool    // nothing happens at the fault
	loses                            float64 // what was acknowledged in so many seconds before a fault dies with the primary
	holdDown                         float64 // the primary is kept away for so long

	// The run around it.
	objectives map[string]float64 // replace those of shipped drills; a negative one takes it away
	asserts    []drill.Rule
	aborts     []drill.Rule
	timeout    float64
	blip       float64
	bystander  func(w *world, t at, r reply) reply // a probe "side" of the drill's own
	faults     []float64                           // seconds between further faults
	hook       func(ctx context.Context, w *world, what string) error
	stopped    [2]at                        // drill itself does not run from then to then
	starved    func(w *world, t at) float64 // by how many seconds slots are sent late
	slept      at                           // when the machine is suspended; 0: never
	silenced   at                           // from when on nothing is known of the slots through kept sessions; 0: never
	every      time.Duration                // Δ of the slots through kept sessions; 20 ms by default
	upWithin   time.Duration
	interrupt  at
	steady     []drill.Rule
}

// world is a script being played.
type world struct {
	script
	started time.Time

	mu    sync.Mutex
	armed time.Time // the undo of the first fault is being stored
	from  time.Time // the first injection
	acks  []*acked  // of the pooled stream, which some member does not show yet
	shown map[string]map[int64]bool
	all   []*acked
}

// acked is one acknowledged write.
type acked struct {
	stream string
	seq    int64
	at     time.Time
	by     string
	lost   bool
}

var members = []string{"orders-0", "orders-1", "orders-2"}

// now is the script's time. Before the first fault it counts down to one that is nowhere near.
func (w *world) now() at {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.time(time.Now())
}

func (w *world) time(t time.Time) at {
	if w.from.IsZero() {
		return -forever
	}
	return t.Sub(w.from).Seconds()
}

// age is how long the run has been going on.
func (w *world) age() float64 { return time.Since(w.started).Seconds() }

// leader takes writes at t; empty when nobody does.
func (w *world) leader(t at) string {
	switch {
	case w.leads != nil:
		return w.leads(t)
	case w.spared || t < 0:
		return "orders-0"
	case t < w.promoted:
		return ""
	}
	return "orders-1"
}

// through is what a request through the Service gets.
func (w *world) through(t at) reply {
	if w.leads == nil && !w.spared && t >= 0 && t < w.back {
		return fails(drill.SignalRefused)
	}
	if by := w.leader(t); by != "" {
		return reply{by: by, after: w.quick()}
	}
	return fails(drill.SignalRefused)
}

// draw is a number from 0 up to 1 that follows from the moment in virtual time alone, so that a row is the same each
// time.
func draw(started time.Time, salt uint64) float64 {
	z := uint64(time.Since(started)) + salt*0x9e3779b97f4a7c15 //nolint:gosec // any bits will do
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return float64((z^z>>31)>>11) / (1 << 53)
}

// quick is an answer's usual time: half a millisecond to two.
func (w *world) quick() float64 { return 0.0005 + 0.0015*draw(w.started, 1) }

// age is how long virtual time has been going on; a run begins with it.
func age() float64 { return time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).Seconds() }

// chance is true in a share p of its moments.
func (w *world) chance(p float64) bool { return draw(w.started, 2) < p }

// away reports whether the member is gone.
func (w *world) away(member string, t at) bool {
	return w.leads == nil && !w.spared && member == "orders-0" && t >= 0 && t < w.rejoin
}

// primary reports whether the member calls itself primary.
func (w *world) primary(member string, t at) bool {
	if w.second != nil && w.second(t) {
		return member != "orders-2"
	}
	return w.leader(t) == member || w.claims != nil && w.claims(t) == member
}

func (w *world) behind(member string, t at) float64 {
	if w.lag == nil {
		return 0.003
	}
	return w.lag(member, t)
}

// Target.

func (w *world) Name() string { return "orders" }

func (w *world) Open(context.Context) ([]drill.Member, error) {
	var out []drill.Member
	for i, m := range members {
		role := drill.RoleReplica
		if i == 0 {
			role = drill.RolePrimary
		}
		out = append(out, drill.Member{Namespace: "shop", Name: m, UID: "uid-" + m, Role: role, Epoch: 1})
	}
	return out, nil
}

func (w *world) Probes() []drill.Probe {
	all := []drill.Probe{
		scripted{w, drill.ProbeInfo{Name: "orders", Kind: "postgresql", Target: "orders", Class: drill.ClassPooled,
			Interval: cmp.Or(w.every, 20*time.Millisecond), Deadline: time.Second, Sessions: 50, UpWithin: w.upWithin}},
		scripted{w, drill.ProbeInfo{Name: "orders/fresh", Kind: "postgresql", Target: "orders", Class: drill.ClassFresh,
			Interval: 100 * time.Millisecond, Deadline: 900 * time.Millisecond, Sessions: 11}},
	}
	for _, m := range members {
		all = append(all, scripted{w, drill.ProbeInfo{Name: "orders/" + m, Kind: "postgresql", Target: "orders", Class: drill.ClassPinned,
			Member: m, Interval: 100 * time.Millisecond, Deadline: time.Second, Sessions: 1}})
	}
	return all
}

// Watch tells the views as the script has them.
func (w *world) Watch(ctx context.Context, changed func(drill.Views)) error {
	var last [3]string
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for first := true; ctx.Err() == nil; first = false {
		if now := w.look(w.now()); first || now != last {
			last = now
			one := func(s string) []string {
				if s == "" {
					return []string{}
				}
				return []string{s}
			}
			changed(drill.Views{Target: "orders", Label: one(now[0]), Service: one(now[1]), Member: one(now[2])})
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return nil
}

// look is the three views at t.
func (w *world) look(t at) [3]string {
	if w.views != nil {
		return [3]string(w.views(t))
	}
	if w.leads != nil || w.spared || t < 0 {
		l := w.leader(t)
		return [3]string{l, l, l}
	}
	now := [3]string{"orders-0", "orders-0", ""}
	if t >= w.detected {
		now[0] = ""
	}
	if t >= w.promoted {
		now[0], now[2] = "orders-1", "orders-1"
	}
	if t >= w.routed {
		now[1] = "orders-1"
	}
	return now
}

// ReadBack is what every member holds in the end: what was acknowledged and not lost.
func (w *world) ReadBack(context.Context) (drill.ReadBack, error) {
	w.mu.Lock()
	back := drill.ReadBack{Target: "orders", Primary: w.leader(w.time(time.Now())), Complete: true, Streams: map[string]map[string]drill.Numbers{}}
	held := map[string]drill.Numbers{}
	for _, a := range w.all {
		if !a.lost {
			n := held[a.stream]
			n.Add(a.seq)
			held[a.stream] = n
		}
	}
	for _, m := range members {
		back.Streams[m] = maps.Clone(held)
	}
	w.mu.Unlock()
	if w.readBack != nil {
		w.readBack(w, &back)
	}
	return back, nil
}

func (w *world) Close(context.Context) error { return nil }

// call lets a script do something at a moment of the run's life.
func (w *world) call(ctx context.Context, what string) error {
	if w.hook == nil {
		return nil
	}
	return w.hook(ctx, w, what)
}

// Journal and lock.

func (w *world) Preparing(context.Context, string, string, json.RawMessage) error { return nil }
func (w *world) Injecting(ctx context.Context, _, _ string, _ json.RawMessage) error {
	w.mu.Lock()
	if w.armed.IsZero() {
		w.armed = time.Now()
	}
	w.mu.Unlock()
	return w.call(ctx, "journal")
}
func (w *world) Reverted(context.Context, string, string, []string) error { return nil }
func (w *world) Acquire(context.Context, []string) (func(context.Context) error, <-chan struct{}, error) {
	return func(context.Context) error { return nil }, nil, nil
}

// blow is one fault of a script; its victim is whoever leads.
type blow struct {
	w    *world
	name string
}

func (f blow) Plan(ctx context.Context) (json.RawMessage, drill.FaultPlan, error) {
	victim := f.w.leader(f.w.now())
	plan := drill.FaultPlan{Kind: "kill_primary", Name: f.name, Victims: []drill.Member{{Namespace: "shop", Name: victim, UID: "uid-" + victim, Role: drill.RolePrimary}},
		Hold: length(f.w.holdDown)}
	return json.RawMessage(`{}`), plan, f.w.call(ctx, "plan")
}
func (f blow) Prepare(context.Context, json.RawMessage) error { return nil }
func (f blow) Recheck(ctx context.Context, _ json.RawMessage) error {
	return f.w.call(ctx, "recheck")
}
func (f blow) Inject(ctx context.Context, _ json.RawMessage) error {
	f.w.mu.Lock()
	if f.w.from.IsZero() {
		f.w.from = time.Now()
	}
	for _, a := range f.w.all {
		a.lost = a.lost || time.Since(a.at).Seconds() < f.w.loses
	}
	f.w.mu.Unlock()
	return f.w.call(ctx, "inject")
}
func (f blow) Confirm(ctx context.Context, _ json.RawMessage) (string, error) {
	return "the script", f.w.call(ctx, "confirm")
}
func (f blow) Held(context.Context, json.RawMessage) error   { return nil }
func (f blow) Broken() error                                 { return nil }
func (f blow) Revert(context.Context, json.RawMessage) error { return nil }
