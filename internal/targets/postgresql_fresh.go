package targets

import (
	"context"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// fresh is the probe that logs in anew in every slot, as a client that has just been started: DNS, TCP, TLS, login. Its
// writes are a stream of their own in the ledger.
type fresh struct{ t *postgreSQL }

// Info describes the probe.
func (f *fresh) Info() drill.ProbeInfo {
	i := drill.ProbeInfo{
		Name: f.t.name + "/fresh", Kind: "postgresql", Target: f.t.name, Class: drill.ClassFresh,
		Interval: time.Second / time.Duration(f.t.spec.FreshRate), Deadline: pooledDeadline, Sessions: f.t.freshSessions(),
	}
	if given := f.t.spec.UpWithin; given > 0 {
		i.UpWithin = max(given, 2*i.Interval) // the target's is held to write_rate; logins are further apart
	}
	return i
}

// freshSessions is how many connections the fresh probe may need: a second's worth of slots.
func (t *postgreSQL) freshSessions() int {
	if t.spec.FreshRate == 0 {
		return 0
	}
	return max(t.spec.FreshRate, 2)
}

// Sample connects through the Service, writes one row and learns from the same answer who wrote it.
func (f *fresh) Sample(ctx context.Context, s *drill.Sample) {
	s.Write = true
	session, err := f.t.dial.service(ctx)
	if err != nil {
		s.Outcome, s.Signal = drill.OutcomeFail, signal(err) // nothing was sent
		return
	}
	f.t.enter(ctx, session, s)
	f.t.pool.put(session, false) // which closes it
}
