package targets

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

const (
	// warm is how many sessions the pool opens at the start.
	warm = 5
	// maxIdle is how many sessions the pool keeps. Every one of them must fail once before clients have seen the last
	// of a dead primary, so many idle sessions would lengthen the outage that drill itself sees.
	maxIdle = 10
	// pooledDeadline is a tenth below a second, so that at any rate a second's worth of sessions is never used up by
	// slots that are ending at the very moment in which the next one is due.
	pooledDeadline = 900 * time.Millisecond
)

// pool holds long-lived sessions to the Service. They are used in turn, so that each of them is seen to live or die.
type pool struct {
	dial    func(context.Context) (*session, error)
	closing sync.WaitGroup

	mu     sync.Mutex
	idle   []*session
	closed bool
}

// take returns the session that has rested longest, or a new one.
func (p *pool) take(ctx context.Context) (*session, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, net.ErrClosed
	}
	if len(p.idle) > 0 {
		s := p.idle[0]
		p.idle = append(p.idle[:0], p.idle[1:]...)
		p.mu.Unlock()
		return s, nil
	}
	p.mu.Unlock()
	return p.dial(ctx)
}

// put takes a session back, unless something went wrong with it or there are enough.
func (p *pool) put(s *session, good bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		s.cut()
	case good && len(p.idle) < maxIdle && !s.conn.IsClosed():
		p.idle = append(p.idle, s)
	default:
		p.closing.Go(s.close) // outside the slot: its time is being taken
	}
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, s := range idle {
		p.closing.Go(s.close)
	}
	p.closing.Wait()
}

// writer is the probe that writes the ledger through the Service, as an application would.
type writer struct{ t *postgreSQL }

// Info describes the probe.
func (w *writer) Info() drill.ProbeInfo {
	return drill.ProbeInfo{
		Name: w.t.name, Kind: "postgresql", Target: w.t.name, Class: drill.ClassPooled,
		Interval: time.Second / time.Duration(w.t.spec.WriteRate), Deadline: pooledDeadline, Sessions: w.t.sessions(),
		UpWithin: w.t.spec.UpWithin,
	}
}

// sessions is how many connections the pooled probe may need: a second's worth of slots.
func (t *postgreSQL) sessions() int { return max(t.spec.WriteRate, 2) }

// Sample writes one row and learns from the same answer who wrote it.
func (w *writer) Sample(ctx context.Context, s *drill.Sample) {
	s.Write = true
	session, err := w.t.pool.take(ctx)
	if err != nil {
		s.Outcome, s.Signal = drill.OutcomeFail, signal(err) // nothing was sent
		return
	}
	w.t.enter(ctx, session, s)
	w.t.pool.put(session, s.Outcome == drill.OutcomeOK)
}

// enter writes the slot's row, and says what became of it and who answered.
func (t *postgreSQL) enter(ctx context.Context, session *session, s *drill.Sample) {
	said, err := t.tables.write(ctx, session, s.Probe, s.Slot)
	s.Outcome, s.Signal = judge(err)
	if err == nil {
		t.answeredBy(s, said)
		confirm(s, said, session)
	}
}

// answeredBy notes who gave an answer.
func (t *postgreSQL) answeredBy(s *drill.Sample, said word) {
	who := t.cluster.memberAt(said.addr)
	s.By, s.ByUID, s.Role, s.Epoch = who.name, who.uid, said.role(), said.timeline
}

// confirm corrects a slot that the server answered without an error: a replica wrote nothing, and a success with a
// warning may be a commit whose wait for a synchronous replica was cancelled.
func confirm(s *drill.Sample, said word, session *session) {
	switch {
	case said.recovering:
		s.Outcome, s.Signal = drill.OutcomeFail, drill.SignalReadOnly
	case session.warned:
		s.Outcome, s.Signal = drill.OutcomeIndeterminate, drill.SignalError
	}
}
