package runner

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// Bounds of what waits for one observer. They hold a minute of a usual run.
const (
	maxWaitingSlots  = 16 << 10
	maxWaitingEvents = 2048 // of those that may be left out
	// flushTimeout is how long a run that is over waits for its observers, after the last event that one of them took.
	flushTimeout = 2 * time.Second
)

// Outbox hands events to one observer from a goroutine of its own, in order. Whoever puts an event in never waits: a
// terminal that was stopped, or a pipe that nobody reads, delays no abort and no revert. What waits is bounded. Steps,
// plans, changes of faults, findings, the end and the report are never left out; of progress the newest is kept; slots
// and changes of views are left out beyond the bound, and the observer gets a finding that says how many.
type Outbox struct {
	to Observer

	mu      sync.Mutex
	queue   []waiting
	slots   int           // in the queue
	events  int           // in the queue, of those that may be left out
	busy    bool          // a goroutine works on the queue
	changed chan struct{} // closed and replaced whenever the observer has taken an event
}

// waiting is an event in the queue, or, with missing, the place of so many that were left out.
type waiting struct {
	event   drill.Event
	missing int
}

// NewOutbox returns the outbox of an observer. Observe is then called by one goroutine at a time.
func NewOutbox(to Observer) *Outbox { return &Outbox{to: to, changed: make(chan struct{})} }

// Observe implements Observer; it never blocks.
func (o *Outbox) Observe(e drill.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.put(e)
	if !o.busy {
		o.busy = true
		go o.work()
	}
}

// put queues an event, or notes that it is left out.
func (o *Outbox) put(e drill.Event) {
	last := len(o.queue) - 1
	switch {
	case e.Type == drill.EventProgress:
		o.queue = slices.DeleteFunc(o.queue, func(w waiting) bool { return w.missing == 0 && w.event.Type == drill.EventProgress })
	case !mayBeLeftOut(e):
	case o.events >= maxWaitingEvents, o.slots+len(e.Samples) > maxWaitingSlots:
		if last >= 0 && o.queue[last].missing > 0 {
			o.queue[last].missing++
			o.queue[last].event.Seq, o.queue[last].event.At = e.Seq, e.At
			return
		}
		o.queue = append(o.queue, waiting{event: drill.Event{Seq: e.Seq, At: e.At}, missing: 1})
		return
	default:
		o.events++
		o.slots += len(e.Samples)
	}
	o.queue = append(o.queue, waiting{event: e})
}

// mayBeLeftOut tells the events of which there may be any number.
func mayBeLeftOut(e drill.Event) bool {
	switch e.Type {
	case drill.EventSamples, drill.EventViews, drill.EventMembers:
		return true
	case drill.EventRule:
		return !e.Rule.Fired && e.Rule.Kind == drill.RuleAbort
	default:
		return false
	}
}

// work hands over what waits, until nothing does.
func (o *Outbox) work() {
	for {
		o.mu.Lock()
		if len(o.queue) == 0 {
			o.busy, o.queue = false, nil
			o.mu.Unlock()
			return
		}
		next := o.queue[0]
		o.queue[0] = waiting{} // its slots need no memory any more
		o.queue = o.queue[1:]
		if next.missing == 0 && mayBeLeftOut(next.event) {
			o.events--
			o.slots -= len(next.event.Samples)
		}
		o.mu.Unlock()

		o.to.Observe(next.shown())

		o.mu.Lock()
		close(o.changed)
		o.changed = make(chan struct{})
		o.mu.Unlock()
	}
}

// shown is what the observer gets.
func (w waiting) shown() drill.Event {
	if w.missing == 0 {
		return w.event
	}
	e := w.event
	e.Type = drill.EventFinding
	e.Text = fmt.Sprintf("%d events are not shown here, because the output was stopped or too slow. The record has them.", w.missing)
	e.Finding = &drill.Finding{Severity: "info", Code: "not_shown", Text: e.Text}
	return e
}

// Flush waits until the observer has taken everything, but no longer than timeout after the last event that it took, and
// no longer than five times that. It returns how many events it has not taken.
func (o *Outbox) Flush(timeout time.Duration) (left int) {
	giveUp := time.NewTimer(5 * timeout)
	defer giveUp.Stop()
	for {
		o.mu.Lock()
		busy, changed := o.busy, o.changed
		left = len(o.queue)
		o.mu.Unlock()
		if !busy {
			return 0
		}
		idle := time.NewTimer(timeout)
		select {
		case <-changed:
			idle.Stop()
			continue
		case <-idle.C:
		case <-giveUp.C:
			idle.Stop()
		}
		return left + 1 // and the one that it is at
	}
}
