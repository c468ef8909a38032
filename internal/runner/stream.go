package runner

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// emit puts an event into the stream, and into every observer's outbox, in order.
func (r *run) emit(e drill.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.emitLocked(e)
}

func (r *run) emitLocked(e drill.Event) {
	r.flushLocked() // samples keep their place before what came after them
	r.appendLocked(e)
}

func (r *run) appendLocked(e drill.Event) {
	e = cleaned(e)
	e.Seq, e.At = r.seq, r.clock.Now()
	r.seq++
	r.record(e)
	r.live.Event(e)
	for _, o := range r.outboxes {
		o.Observe(e)
	}
}

// flushLocked turns the samples gathered so far into one event.
func (r *run) flushLocked() {
	if len(r.batch) == 0 && len(r.stalls) == 0 {
		return
	}
	batch, stalls := r.batch, r.stalls
	r.batch, r.stalls = nil, nil
	r.appendLocked(drill.Event{Type: drill.EventSamples, Samples: batch, Stalls: stalls})
}

func (r *run) step(s drill.Step) { r.emit(drill.Event{Type: drill.EventStep, Step: s}) }

// warn tells of something that is no verdict.
func (r *run) warn(code, text string) {
	r.emit(drill.Event{Type: drill.EventFinding, Text: text,
		Finding: &drill.Finding{Severity: "warning", Code: code, Text: text}})
}

func (r *run) fault(f *plannedFault, state drill.FaultState, from drill.Offset, by string, residue []string) {
	change := &drill.FaultChange{Kind: f.Kind, Name: f.Name, State: state, From: from, By: by, Residue: residue}
	if state == drill.FaultInjected {
		change.Spared = f.spared
	}
	r.emit(drill.Event{Type: drill.EventFault, Fault: change})
}

// probing is the sampler and the watch at work. They go on through an abort and stop only when told to.
type probing struct {
	r      *run
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	measure chan struct{} // closed when the probes' own rates begin
	begin   sync.Once
}

func (r *run) newProbing(ctx context.Context) *probing {
	p := &probing{r: r, measure: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return p
}

// start begins to sample every probe and to watch the views.
func (p *probing) start() {
	r := p.r
	probes := slices.Concat(r.Target.Probes(), r.Probes)
	for _, probe := range probes {
		info := probe.Info()
		r.emit(drill.Event{Type: drill.EventProbe, Probe: &info})
	}
	p.work.Go(func() {
		r.Sampler(p.ctx, drill.Sampling{Clock: r.clock, Probes: probes, Measure: p.measure, Sample: r.sample, Stall: r.stall})
	})
	if t, ok := r.Target.(Leadership); ok {
		p.watch("who is primary", func(ctx context.Context) error {
			return t.Watch(ctx, func(v drill.Views) { r.emit(drill.Event{Type: drill.EventViews, Views: &v}) })
		})
	}
	if t, ok := r.Target.(Membership); ok {
		p.watch("who can serve", func(ctx context.Context) error {
			return t.WatchMembers(ctx, func(v drill.Readiness) { r.emit(drill.Event{Type: drill.EventMembers, Readiness: &v}) })
		})
	}
	p.work.Go(p.tick)
}

// measuring lets the probes' own rates begin. Until then nothing is measured, and the target is spared.
func (p *probing) measuring() { p.begin.Do(func() { close(p.measure) }) }

// watch runs one of the target's watches until probing stops. That it ends early is told: the numbers that come of it
// then stand still.
func (p *probing) watch(of string, watch func(context.Context) error) {
	p.work.Go(func() {
		if err := watch(p.ctx); err != nil && p.ctx.Err() == nil {
			p.r.warn("watch_ended", fmt.Sprintf("The watch of %s ended early: %v.", of, err))
		}
	})
}

// stop ends probing and waits for the last slot.
func (p *probing) stop() {
	p.cancel()
	p.work.Wait()
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	p.r.flushLocked()
}

// sample takes in one slot: the live values first, then the rules, so that each is judged on every sample.
func (r *run) sample(s drill.Sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live.Sample(s)
	r.batch = append(r.batch, s)
	r.checkRules(s.Done)
}

// stall takes in that this process did not run.
func (r *run) stall(s drill.Stall) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stalls = append(r.stalls, s)
}

// tick evaluates the rules also when no slot is answered, hands over the batches, and tells people how it goes.
func (p *probing) tick() {
	r := p.r
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	last := r.clock.Now()
	for {
		select {
		case <-tick.C:
		case <-p.ctx.Done():
			return
		}
		r.mu.Lock()
		now := r.clock.Now()
		r.checkRules(now)
		if now.Sub(last) >= batchEvery {
			last = now
			r.emitLocked(drill.Event{Type: drill.EventProgress, Text: r.progressLocked(now)})
		}
		r.mu.Unlock()
	}
}

// progressLocked is the present state in a few words.
func (r *run) progressLocked(now drill.Offset) string {
	v := r.live.Values(now)["target"][r.Target.Name()]
	if r.Settings.NoLedger {
		return progressOfService(v)
	}
	writes := "writes ok"
	if out, ok := v["outage_seconds"]; !ok {
		writes = "no write yet"
	} else if out > 0 {
		writes = fmt.Sprintf("writes failing for %.1f s", out)
	}
	lag := "lag unknown"
	if l, ok := v["lag_seconds"]; ok && !math.IsNaN(l) {
		lag = fmt.Sprintf("lag %.1f s", l)
	}
	return fmt.Sprintf("%s · %s · %.0f primary", writes, lag, v["primaries"])
}

func progressOfService(v map[string]float64) string {
	clients := "clients served"
	if out, ok := v["outage_seconds"]; !ok {
		clients = "no answer yet"
	} else if out > 0 {
		clients = fmt.Sprintf("clients not served for %.1f s", out)
	}
	if _, known := v["ready"]; !known {
		return clients
	}
	return fmt.Sprintf("%s · %.0f of %.0f endpoints ready", clients, v["ready"], v["desired"])
}
