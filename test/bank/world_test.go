package bank

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/probes"
	"github.com/failoverdrill/drill/internal/runner"
)

// Seconds after the fault, in a script; negative before it.
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
	loses                            float64 // what was acknowledged in so many seconds before the fault dies with the primary
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

// draw is a number from 0 up to 1 that follows from the moment in virtual time alone, so that a row is the same each time.
func draw(started time.Time, salt uint64) float64 {
	z := uint64(time.Since(started)) + salt*0x9e3779b97f4a7c15 //nolint:gosec // any bits will do
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return float64((z^z>>31)>>11) / (1 << 53)
}

// quick is an answer's usual time: half a millisecond to two.
func (w *world) quick() float64 { return 0.0005 + 0.0015*draw(w.started, 1) }

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
		for _, a := range f.w.all {
			a.lost = a.lost || time.Since(a.at).Seconds() < f.w.loses
		}
	}
	f.w.mu.Unlock()
	return f.w.call(ctx, "inject")
}
func (f blow) Confirm(ctx context.Context, _ json.RawMessage) (string, error) {
	return "the script", f.w.call(ctx, "confirm")
}
func (f blow) Held(context.Context, json.RawMessage) error   { return nil }
func (f blow) Revert(context.Context, json.RawMessage) error { return nil }

// scripted is a probe whose answers are the script's.
type scripted struct {
	w    *world
	info drill.ProbeInfo
}

func (p scripted) Info() drill.ProbeInfo { return p.info }

func (p scripted) Sample(ctx context.Context, s *drill.Sample) {
	w, came := p.w, time.Now()
	t := w.now()
	if w.mute(t) {
		return // it is told as unsent
	}
	r := w.through(t)
	switch {
	case p.info.Target == "":
		r = reply{after: w.quick()}
		if w.bystander != nil {
			r = w.bystander(w, t, r)
		}
	case p.info.Class == drill.ClassPooled && w.pooled != nil:
		r = w.pooled(w, t, r)
	case p.info.Class == drill.ClassFresh:
		r.after += 0.004 // a login
		if w.fresh != nil {
			r = w.fresh(w, t, r)
		}
	case p.info.Class == drill.ClassPinned:
		r = reply{by: p.info.Member, after: w.quick()}
		if w.away(p.info.Member, t) {
			r = fails(drill.SignalRefused)
		}
		if w.pinned != nil {
			r = w.pinned(w, p.info.Member, t, r)
		}
	}
	if r.after > 0 {
		select {
		case <-time.After(time.Duration(r.after * float64(time.Second))):
		case <-ctx.Done():
			r = reply{signal: drill.SignalTimeout}
			if p.info.Target != "" && p.info.Class != drill.ClassPinned {
				s.Write, s.Outcome, s.Signal = true, drill.OutcomeFail, r.signal
				return
			}
		}
	}
	p.answer(s, r, came, t)
}

// answer fills in the slot.
func (p scripted) answer(s *drill.Sample, r reply, came time.Time, t at) {
	w := p.w
	s.Write = p.info.Target != "" && p.info.Class != drill.ClassPinned
	if s.Outcome, s.Signal = drill.OutcomeOK, ""; r.signal != "" {
		s.Outcome, s.Signal, s.By = drill.OutcomeFail, r.signal, r.by
		if r.signal == drill.SignalReadOnly {
			s.Role = drill.RoleReplica
		}
		return
	}
	if p.info.Target == "" {
		return
	}
	s.By, s.Role, s.Epoch = r.by, drill.RolePrimary, 1
	if r.by != "orders-0" {
		s.Epoch = 2
	}
	if w.epoch != nil {
		s.Epoch = w.epoch(r.by, t)
	}
	if p.info.Class == drill.ClassPinned {
		p.member(s, t)
	}
	if !s.Write {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	a := &acked{s.Probe, s.Slot, came, r.by, r.lost}
	w.all = append(w.all, a)
	if p.info.Class == drill.ClassPooled {
		w.acks = append(w.acks, a)
	}
}

// member is what a member says of itself: a primary writes, a replica tells what it shows.
func (p scripted) member(s *drill.Sample, t at) {
	w, name := p.w, p.info.Member
	s.Write = w.primary(name, t)
	s.Reading = &drill.Reading{UID: "uid-" + name, Streaming: true}
	if !s.Write {
		s.Role, s.Epoch = drill.RoleReplica, 0
	}
	behind := time.Duration(w.behind(name, t) * float64(time.Second))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.shown[name] == nil {
		w.shown[name] = map[int64]bool{}
	}
	for _, a := range w.acks {
		visible := a.by == name || !a.lost && time.Since(a.at) >= behind
		if visible && !w.shown[name][a.seq] {
			w.shown[name][a.seq] = true
			s.Reading.Seen = append(s.Reading.Seen, a.seq)
		}
	}
	w.forget()
}

// forget lets go of acknowledgements that every member has shown, so that a long run stays quick.
func (w *world) forget() {
	n := 0
	for n < len(w.acks) && (w.acks[n].lost || !slices.ContainsFunc(members, func(m string) bool { return !w.shown[m][w.acks[n].seq] })) {
		n++
	}
	w.acks = w.acks[n:]
}

// play is the whole run of a script, in virtual time.
func (s script) play(t *testing.T) (rep drill.Report) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if s.back > 0 && s.promoted == 0 {
			s.detected, s.promoted, s.routed = 0.5*s.back, 0.7*s.back, 0.9*s.back
		}
		if s.rejoin == 0 {
			s.rejoin = 20
		}
		w := &world{script: s, started: time.Now(), shown: map[string]map[int64]bool{}}
		rep = runner.Run(w.interrupted(t.Context()), w.config())
	})
	return rep
}

// interrupted is a context that ends when the script says so.
func (w *world) interrupted(ctx context.Context) context.Context {
	if w.interrupt == 0 {
		return ctx
	}
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		time.Sleep(time.Duration(w.interrupt * float64(time.Second)))
		cancel(fmt.Errorf("Ctrl-C"))
	}()
	return ctx
}

// shipped are the objectives of drills/kill-primary.hcl, with a stricter limit on the recovery.
var shipped = map[string]float64{
	drill.ObjectiveRecoveryTime: 30, drill.ObjectiveRedundancyTime: 300, drill.ObjectiveLostWrites: 0,
	drill.ObjectiveReplicationLag: 1, drill.ObjectiveLeaderChanges: 1,
}

// limits are the shipped objectives with a row's own in place of theirs.
func limits(own map[string]float64) []drill.Objective {
	var all []drill.Objective
	for _, name := range []string{drill.ObjectiveRecoveryTime, drill.ObjectiveRedundancyTime, drill.ObjectiveLostWrites, drill.ObjectiveReplicationLag,
		drill.ObjectiveLeaderChanges, drill.ObjectiveDualPrimary, drill.ObjectiveUnavailable, drill.ObjectiveFailedOver} {
		limit, ok := own[name]
		if !ok {
			limit, ok = shipped[name]
		}
		if ok && limit >= 0 {
			all = append(all, drill.Objective{Name: name, Limit: limit})
		}
	}
	return all
}

func length(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// config is the run around a script.
func (w *world) config() runner.Config {
	timeout := w.timeout
	if timeout == 0 {
		timeout = 240
	}
	c := runner.Config{
		Drill: &drill.Drill{Name: "bank", Timeout: length(timeout), Blip: length(w.blip),
			SteadyState: drill.SteadyState{Hold: 10 * time.Second, Timeout: 60 * time.Second},
			Aborts:      w.aborts, Objectives: limits(w.objectives), Asserts: w.asserts},
		Settings:   drill.Settings{Window: 10 * time.Second, ImpactTimeout: 60 * time.Second, RedundancyLag: 1, Blip: length(w.blip)},
		Preflight:  func(context.Context) error { return nil },
		Namespaces: []string{"shop"}, Target: w, Sampler: w.sample, Journal: w, Lock: w, Log: zap.NewNop(),
		Faults: []runner.BoundFault{{Kind: "kill_primary", Name: "orders", Fault: blow{w, "orders"}}},
	}
	for i, after := range w.faults {
		name := fmt.Sprintf("orders-%d", i+2)
		c.Faults = append(c.Faults, runner.BoundFault{Kind: "kill_primary", Name: name, After: length(after), Fault: blow{w, name}})
	}
	c.Drill.SteadyState.Asserts = w.steady
	if w.bystander != nil {
		c.Probes = []drill.Probe{scripted{w, drill.ProbeInfo{Name: "side", Kind: "http", Class: drill.ClassFresh,
			Interval: 50 * time.Millisecond, Deadline: 500 * time.Millisecond, Sessions: 11}}}
	}
	return c
}

// sinceArmed is for how many seconds the first fault has been about to come; negative before.
func (w *world) sinceArmed() float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.armed.IsZero() {
		return -1
	}
	return time.Since(w.armed).Seconds()
}

// mute reports whether drill itself does not run at t.
func (w *world) mute(t at) bool { return t >= w.stopped[0] && t < w.stopped[1] }

// sample is the real sampler, whose slots a script may spoil as a process would that is stopped or starved.
func (w *world) sample(ctx context.Context, s drill.Sampling) {
	through, stalled := s.Sample, s.Stall
	s.Stall = nil // the heartbeat is the kernel's, and knows no virtual time
	told := false
	s.Sample = func(x drill.Sample) {
		t := w.time(w.started.Add(time.Duration(x.Scheduled)))
		switch {
		case w.silenced > 0 && t >= w.silenced && x.Class == drill.ClassPooled:
			return
		case w.mute(t):
			x = drill.Sample{Probe: x.Probe, Class: x.Class, Member: x.Member, Slot: x.Slot, Scheduled: x.Scheduled, Done: x.Scheduled, Outcome: drill.OutcomeUnsent}
			if !told {
				stalled(drill.Stall{From: x.Scheduled, To: x.Scheduled.Add(length(w.stopped[1] - w.stopped[0]))})
			}
			told = true
		case w.starved != nil:
			late := length(w.starved(w, t))
			x.Sent, x.Done = x.Sent.Add(late), x.Done.Add(late)
		case w.slept > 0 && t >= w.slept && !told:
			stalled(drill.Stall{From: x.Scheduled, To: x.Scheduled, Slept: true})
			told = true
		}
		through(x)
	}
	probes.Sample(ctx, s)
}

// compares is a condition on one live value, as a drill file would have it.
type compares struct {
	scope, name, value string
	above              bool // it is true above the limit; else up to it
	limit              float64
}

func (c compares) String() string {
	op := "<="
	if c.above {
		op = ">"
	}
	return fmt.Sprintf("%s.%s.%s %s %v", c.scope, c.name, c.value, op, c.limit)
}

func (c compares) Evaluate(live drill.Live) (drill.Truth, string) {
	v, ok := live[c.scope][c.name][c.value]
	switch {
	case !ok:
		return drill.Unknown, c.String()
	case (v > c.limit) == c.above:
		return drill.True, fmt.Sprintf("%s is %.2f", c.value, v)
	}
	return drill.False, fmt.Sprintf("%s is %.2f, and not %s", c.value, v, c)
}
