package bank

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/probes"
	"github.com/failoverdrill/drill/internal/runner"
	"github.com/failoverdrill/drill/test/bubble"
)

// service is how a Deployment behaves whose pod kill 0 hurts: each request is led to one of the endpoints by chance.
type service struct {
	pods    int
	dropped at // when the Service leads to the victims no more
	ready   at // when new pods serve in their place
	hurt    int
	broken  int // pods, from the first new one on, that refuse every request though they are ready
	every   time.Duration
	request func(w *shop, t at, r reply) reply

	objectives map[string]float64
	inject     error
}

// shop is a service being played.
type shop struct {
	service
	started time.Time
	mu      sync.Mutex
	from    time.Time
}

func (w *shop) now() at {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.from.IsZero() {
		return -forever
	}
	return time.Since(w.from).Seconds()
}

func pod(i int, generation string) drill.Member {
	name := fmt.Sprintf("shop-%d%s", i, generation)
	return drill.Member{Namespace: "shop", Name: name, UID: "uid-" + name}
}

// endpoints are those that the Service leads to at t, and alive says which of them serve.
func (w *shop) endpoints(t at) (all []drill.Member, alive []bool) {
	for i := range w.pods {
		switch hurt := i < w.hurt && t >= 0; {
		case !hurt:
			all, alive = append(all, pod(i, "")), append(alive, true)
		case t >= w.ready:
			all, alive = append(all, pod(i, "-new")), append(alive, i >= w.broken)
		}
		if i < w.hurt && t >= 0 && t < w.dropped {
			all, alive = append(all, pod(i, "")), append(alive, false)
		}
	}
	return all, alive
}

func (w *shop) Name() string { return "shop" }
func (w *shop) Open(context.Context) ([]drill.Member, error) {
	var all []drill.Member
	for i := range w.pods {
		all = append(all, pod(i, ""))
	}
	return all, nil
}
func (w *shop) Probes() []drill.Probe       { return nil }
func (w *shop) Close(context.Context) error { return nil }

func (w *shop) WatchMembers(ctx context.Context, changed func(drill.Readiness)) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	last := ""
	for ctx.Err() == nil {
		all, _ := w.endpoints(w.now())
		if now := fmt.Sprint(all); now != last {
			last = now
			changed(drill.Readiness{Target: "shop", Desired: w.pods, Ready: all, Endpoints: all})
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return nil
}

// Info describes the probe that stands for clients.
func (w *shop) Info() drill.ProbeInfo {
	return drill.ProbeInfo{Name: "client", Kind: "http", Class: drill.ClassFresh, Interval: w.every, Deadline: 500 * time.Millisecond, Sessions: 30}
}

// Sample is one request.
func (w *shop) Sample(ctx context.Context, s *drill.Sample) {
	t := w.now()
	r := reply{after: 0.001 + 0.002*draw(w.started, 1)}
	all, alive := w.endpoints(t)
	if len(all) == 0 || !alive[int(draw(w.started, 3)*float64(len(all)))] {
		r = fails(drill.SignalRefused)
	}
	if w.request != nil {
		r = w.request(w, t, r)
	}
	s.Outcome, s.Signal = drill.OutcomeOK, ""
	if r.signal != "" {
		s.Outcome, s.Signal = drill.OutcomeFail, r.signal
	}
	select {
	case <-time.After(length(r.after)):
	case <-ctx.Done():
		s.Outcome, s.Signal = drill.OutcomeFail, drill.SignalTimeout
	}
}

// podKill hurts the first pods.
type podKill struct{ w *shop }

func (f podKill) Plan(context.Context) (json.RawMessage, drill.FaultPlan, error) {
	plan := drill.FaultPlan{Kind: "pod_kill", Name: "shop", Method: "force_delete"}
	for i := range f.w.hurt {
		plan.Victims = append(plan.Victims, pod(i, ""))
	}
	return json.RawMessage(`{}`), plan, nil
}
func (f podKill) Prepare(context.Context, json.RawMessage) error { return nil }
func (f podKill) Recheck(context.Context, json.RawMessage) error { return nil }
func (f podKill) Inject(context.Context, json.RawMessage) error {
	if f.w.inject == nil {
		f.w.mu.Lock()
		defer f.w.mu.Unlock()
		f.w.from = time.Now()
	}
	return f.w.inject
}
func (f podKill) Confirm(context.Context, json.RawMessage) (string, error) { return "the script", nil }
func (f podKill) Held(context.Context, json.RawMessage) error              { return nil }
func (f podKill) Broken() error                                            { return nil }
func (f podKill) Revert(context.Context, json.RawMessage) error            { return nil }

// play is the whole run, in virtual time.
func (s service) play(t *testing.T) (rep drill.Report) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		if s.every == 0 {
			s.every = 50 * time.Millisecond
		}
		w := &shop{service: s, started: time.Now()}
		var wanted []drill.Objective
		for _, o := range []drill.Objective{{Name: drill.ObjectiveRecoveryTime, Limit: 30}, {Name: drill.ObjectiveRedundancyTime, Limit: 120}, {Name: drill.ObjectiveUnavailable, Limit: -1}} {
			if own, ok := s.objectives[o.Name]; ok {
				o.Limit = own
			}
			if o.Limit >= 0 {
				wanted = append(wanted, o)
			}
		}
		journal := &world{}
		rep = runner.Run(t.Context(), runner.Config{
			Drill: &drill.Drill{Name: "bank", Timeout: 4 * time.Minute, SteadyState: drill.SteadyState{Hold: 10 * time.Second, Timeout: time.Minute},
				Objectives: wanted},
			Settings:   drill.Settings{Window: 10 * time.Second, ImpactTimeout: 60 * time.Second, NoLedger: true},
			Preflight:  func(context.Context) error { return nil },
			Namespaces: []string{"shop"}, Target: w, Probes: []drill.Probe{w}, Sampler: virtually, Journal: journal, Lock: journal, Log: zap.NewNop(),
			Faults: []runner.BoundFault{{Kind: "pod_kill", Name: "shop", Fault: podKill{w}}},
		})
	})
	return rep
}

// virtually is the real sampler without its heartbeat, which is the kernel's and knows no virtual time.
func virtually(ctx context.Context, s drill.Sampling) {
	s.Stall = nil
	probes.Sample(ctx, s)
}

func d(number int, setup string, w truth, s service) row {
	return row{number: number, lab: virtual, setup: setup, truth: w, play: s.play}
}

// serviceRows are set-ups of a service without roles and without a ledger.
func serviceRows() []row {
	recovery := drill.ObjectiveRecoveryTime
	alwaysSlow := func(w *shop, _ at, r reply) reply {
		if draw(w.started, 2) < 0.01 {
			r.after = 0.3
		}
		return r
	}
	return []row{
		d(401, "service of 3: one pod killed, dropped after 0.1 s", passed(0, drill.OutcomeNoImpact), service{pods: 3, hurt: 1, dropped: 0.1, ready: 4}),
		d(403, "service of 3: all killed, served again after 8 s", passed(8, drill.OutcomeReplaced), service{pods: 3, hurt: 3, dropped: 0.1, ready: 8}),
		d(34, "1 % of the requests are always slow; one pod of 3 killed", passed(0, drill.OutcomeNoImpact),
			service{pods: 3, hurt: 1, dropped: 0.1, ready: 4, request: alwaysSlow}),
		d(36, "no preStop: for 1.5 s 1 of 3 requests is led to a dead pod, limit 0.5 s", missed(recovery, drill.CauseRoute, 0),
			service{pods: 3, hurt: 1, dropped: 1.5, ready: 8, objectives: limit(recovery, 0.5), every: 20 * time.Millisecond}),
		d(405, "a single replica, back after 8 s, limit 5 s", missed(recovery, drill.CauseMembership, 8),
			service{pods: 1, hurt: 1, dropped: 0.1, ready: 8, objectives: limit(recovery, 5)}),
		d(38, "new pods never become ready", missed(recovery, drill.CauseMembership, never), service{pods: 2, hurt: 2, dropped: 0.1, ready: forever}),
		d(407, "two of three are enough, but the third never comes back", missed(drill.ObjectiveRedundancyTime, drill.CauseMembership, 0),
			service{pods: 3, hurt: 1, dropped: 0.1, ready: forever}),
		d(409, "one of ten pods comes back broken, for ever: 10 % of the requests fail", missed(recovery, drill.CauseServe, never),
			service{pods: 10, hurt: 1, dropped: 0.1, ready: 4, broken: 1}),
		d(411, "one of three is led to for ever though it is gone", missed(recovery, drill.CauseRoute, never),
			service{pods: 3, hurt: 1, dropped: forever, ready: 4}),
		d(413, "unavailable = 0 s, and one request met the dead pod", missed(drill.ObjectiveUnavailable, drill.CauseRoute, 0),
			service{pods: 3, hurt: 1, dropped: 0.5, ready: 4, objectives: limit(drill.ObjectiveUnavailable, 0)}),
		d(40, "a disruption budget allows no eviction", truth{verdict: drill.VerdictRefused, code: "evictions_refused"},
			service{pods: 3, hurt: 1, inject: &drill.Refusal{Code: "evictions_refused", Text: "The budget allows none."}}),
	}
}
