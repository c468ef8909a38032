// Package probes takes the slots of probes at a fixed rate, whatever the replies do.
package probes

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// idle is the time between two slots of a probe before the measuring rate begins, unless its own rate is lower.
const idle = 200 * time.Millisecond

// grace is how long a probe may take to return once its context has ended before its slot is given up.
const grace = 2 * time.Second

// Sample takes slots of the probes on the run's clock until ctx ends, and hands over each as soon as its outcome is
// known. emit is called from one goroutine at a time and never holds up the schedule.
//
// It is open loop: the slots of a probe are due at first + k × Interval, and nothing that happens to a slot moves another
// one. Until the measuring rate begins only some of those k are due, and no more of the others is said. When ctx ends, no more slots are sent; those under way may still end by their own deadline, because a slot that
// is cut off would look like an outage at the end of every run. What is still open then is cancelled.
func Sample(ctx context.Context, sampling drill.Sampling) {
	clock, probes := sampling.Clock, sampling.Probes
	out := newOutbox(sampling.Sample)
	defer out.close()

	if sampling.Stall != nil {
		var watch sync.WaitGroup
		beating, stop := context.WithCancel(context.WithoutCancel(ctx))
		watch.Go(func() { _ = heartbeat(beating, clock, sampling.Stall) }) // without it, slots alone tell of stalls
		defer watch.Wait()
		defer stop() // when every slot is home
	}
	start := clock.Now()
	var lanes sync.WaitGroup
	defer lanes.Wait()
	for i, p := range probes {
		l := newLane(p, clock, out)
		l.measure = sampling.Measure
		// Probes of one rate must not all fire in the same instant, or each makes the others late.
		phase := l.info.Interval * time.Duration(i) / time.Duration(len(probes))
		lanes.Go(func() { l.run(ctx, start.Add(phase)) })
	}
}

// lane is one probe on its schedule.
type lane struct {
	probe drill.Probe
	info  drill.ProbeInfo
	clock drill.Clock
	out   *outbox

	measure <-chan struct{} // closed when the measuring rate begins; nil when it has

	slots   chan drill.Sample // to the workers; never full, because flying is bounded by the same number
	workers int
	exited  sync.WaitGroup

	mu     sync.Mutex
	flying map[int64]drill.Sample
	writes bool          // a reply has said that this probe writes
	landed chan struct{} // closed when the last slot lands after the schedule has ended
}

func newLane(p drill.Probe, clock drill.Clock, out *outbox) *lane {
	l := &lane{probe: p, info: p.Info(), clock: clock, out: out, flying: map[int64]drill.Sample{}}
	if l.info.Interval <= 0 || l.info.Deadline <= 0 {
		panic(fmt.Sprintf("probe %s has interval %v and deadline %v", l.info.Name, l.info.Interval, l.info.Deadline))
	}
	l.info.Sessions = max(l.info.Sessions, 1)
	l.slots = make(chan drill.Sample, l.info.Sessions)
	return l
}

// run keeps the schedule until ctx ends, then sees every slot home.
func (l *lane) run(ctx context.Context, first drill.Offset) {
	slots, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()

	due := first
	timer := time.NewTimer(l.until(due))
	defer timer.Stop()
	for slot := int64(0); ; {
		select {
		case <-ctx.Done():
			l.land(cancel)
			return
		case <-l.measure:
			l.measure = nil
			due = l.nextTurn(first, due)
		case <-timer.C:
		}
		for now := l.clock.Now(); due <= now; now = l.clock.Now() {
			l.send(slots, slot, due, now)
			slot++
			due = due.Add(l.step())
		}
		timer.Reset(l.until(due))
	}
}

// step is the time between two slots: a multiple of the interval, so that the turns stay on the schedule.
func (l *lane) step() time.Duration {
	if l.measure == nil {
		return l.info.Interval
	}
	return l.info.Interval * max(1, idle/l.info.Interval)
}

// nextTurn is the first moment of the measuring schedule that is not past, and at the latest the one that was due anyway.
func (l *lane) nextTurn(first, due drill.Offset) drill.Offset {
	passed := (l.clock.Now().Sub(first) + l.info.Interval - 1) / l.info.Interval
	return min(due, first.Add(max(0, passed)*l.info.Interval))
}

func (l *lane) until(due drill.Offset) time.Duration { return due.Sub(l.clock.Now()) }

// send hands one slot to a worker, or records why it could not be sent.
func (l *lane) send(ctx context.Context, slot int64, due, now drill.Offset) {
	s := drill.Sample{
		Probe: l.info.Name, Class: l.info.Class, Member: l.info.Member,
		Slot: slot, Scheduled: due, Role: drill.RoleUnknown,
	}
	// Slots older than one interval are not made up for: a burst of them would measure the burst.
	if now.Sub(due) > l.info.Interval {
		l.unsent(s, drill.OutcomeUnsent)
		return
	}
	l.mu.Lock()
	full := len(l.flying) >= l.info.Sessions
	if !full {
		l.flying[slot] = s
	}
	idle := l.workers - len(l.flying)
	l.mu.Unlock()
	switch {
	case full && l.info.Sessions == 1:
		l.unsent(s, drill.OutcomeBlocked)
		return
	case full:
		l.unsent(s, drill.OutcomeUnsent)
		return
	case idle < 0:
		l.workers++
		l.exited.Go(func() { l.work(ctx) })
	}
	l.slots <- s
}

func (l *lane) unsent(s drill.Sample, outcome drill.Outcome) {
	s.Outcome, s.Done = outcome, l.clock.Now()
	l.out.put(s)
}

// work takes slots one after the other. Workers are kept, so that a slot costs no goroutine and no sample on the heap.
func (l *lane) work(ctx context.Context) {
	var s drill.Sample
	for s = range l.slots {
		s.Sent = l.clock.Now()
		l.take(ctx, &s)
		s.Done = l.clock.Now()
		l.home(s)
	}
}

// take runs the probe for one slot, under the slot's own deadline. A pinned slot has none: cancelling it would close
// the very session that it is about.
func (l *lane) take(ctx context.Context, s *drill.Sample) {
	if l.info.Class != drill.ClassPinned {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, l.clock.Started().Add(time.Duration(s.Scheduled)+l.info.Deadline))
		defer cancel()
	}
	l.probe.Sample(ctx, s)
}

func (l *lane) home(s drill.Sample) {
	l.mu.Lock()
	_, known := l.flying[s.Slot] // else it was given up
	delete(l.flying, s.Slot)
	l.writes = l.writes || s.Write
	if l.landed != nil && len(l.flying) == 0 && known {
		close(l.landed)
	}
	l.mu.Unlock()
	if known {
		l.out.put(s)
	}
}

// land waits for the slots under way, cancels what is open after the deadline, and gives up what does not even return
// then.
func (l *lane) land(cancel context.CancelFunc) {
	close(l.slots)
	l.mu.Lock()
	landed := make(chan struct{})
	l.landed = landed
	if len(l.flying) == 0 {
		close(landed)
	}
	l.mu.Unlock()

	if !within(landed, l.info.Deadline) {
		cancel()
		if !within(landed, grace) {
			l.giveUp()
			return
		}
	}
	l.exited.Wait()
}

func within(done <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// giveUp records the slots of a probe that ignores its context. Nothing is known of them.
func (l *lane) giveUp() {
	l.mu.Lock()
	lost := l.flying
	l.flying = nil
	writes := l.writes
	l.mu.Unlock()
	for _, s := range lost {
		s.Sent, s.Done = s.Scheduled, l.clock.Now()
		s.Outcome, s.Signal, s.Write = drill.OutcomeIndeterminate, drill.SignalTimeout, writes
		l.out.put(s)
	}
}
