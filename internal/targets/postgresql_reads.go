package targets

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// lookBack is how many seconds of writes a read looks back on, below the highest that it or its client has been shown.
const lookBack = 20

func readsSQL() string {
	return checkFunction("read_1", "text, text, bigint, bigint", "a_run text, a_stream text, a_after bigint, a_window bigint",
		", OUT after bigint, OUT shown bigint[]", rangesSQL("failoverdrill.ledger WHERE run = a_run AND stream = a_stream"))
}

// reads is the probe that reads which writes of the ledger are shown, in sessions that last: at each member in turn, or
// through the Service that reading clients use.
type reads struct {
	t   *postgreSQL
	at  []*place
	ids atomic.Int64
}

func newReads(t *postgreSQL) *reads {
	r := &reads{t: t}
	r.at = t.readable(&r.ids)
	return r
}

// readers is how many clients may read at one place at the same time, so that those who wait never hold up the others.
func (t *postgreSQL) readers() int {
	inFlight := int(readsDeadline/readsInterval) + 1
	if t.spec.ReadService != "" {
		return inFlight
	}
	n := max(1, len(t.cluster.members()))
	return (inFlight+n-1)/n + 1
}

func (r *reads) places() []*place { return r.at }

// Info describes the probe.
func (r *reads) Info() drill.ProbeInfo {
	return drill.ProbeInfo{
		Name: r.t.name + "/" + string(drill.CheckReads), Kind: "postgresql", Target: r.t.name, Class: drill.ClassPooled, Check: drill.CheckReads,
		Interval: readsInterval, Deadline: readsDeadline, Sessions: int(readsDeadline/readsInterval) + 1,
	}
}

// Sample reads at the place whose turn it is. A read that is not answered has done nothing.
func (r *reads) Sample(ctx context.Context, s *drill.Sample) {
	s.Op = &drill.Op{Func: drill.OpRead}
	p := r.at[s.Slot%int64(len(r.at))]
	window := int64(lookBack * r.t.spec.WriteRate)
	p.as(ctx, s, func(c *client) error {
		said, values, err := r.t.tables.answer(ctx, c.sess, `SELECT * FROM failoverdrill.read_1($1, $2, $3, $4)`,
			r.t.tables.run, r.t.name, strconv.FormatInt(c.top-window, 10), strconv.FormatInt(window, 10))
		if err != nil {
			return err
		}
		return r.t.show(s, c, said, values)
	})
	if s.Outcome == drill.OutcomeIndeterminate {
		s.Outcome = drill.OutcomeFail
	}
}

// show notes what a client was shown.
func (t *postgreSQL) show(s *drill.Sample, c *client, said word, values [][]byte) error {
	got, err := shownIn(values)
	if err != nil {
		return err
	}
	t.answered(s, said)
	s.Op.Got = got
	if top := got[len(got)-1]; len(got) > 1 && top > c.top {
		c.top = top
	}
	return nil
}

// ownSQL makes rows that each client writes for itself.
func ownSQL() string {
	return `IF to_regclass('failoverdrill.own') IS NULL THEN
  CREATE TABLE failoverdrill.own (run text, session bigint, seq bigint, at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run, session, seq));
END IF;
` + checkFunction("own_write_1", "text, bigint, bigint", "a_run text, a_session bigint, a_seq bigint", "", `IF NOT recovering THEN
      INSERT INTO failoverdrill.own (run, session, seq) VALUES (a_run, a_session, a_seq);
    END IF;`) + "\n" + checkFunction("own_read_1", "text, bigint, bigint, bigint", "a_run text, a_session bigint, a_after bigint, a_window bigint",
		", OUT after bigint, OUT shown bigint[]", rangesSQL("failoverdrill.own WHERE run = a_run AND session = a_session"))
}

// ownWindow is how far below its highest number a client reads its own writes.
const ownWindow = 1000

// ownWrites is the probe whose clients write a row through the writable Service and then read all of theirs, each in one
// session.
type ownWrites struct {
	t   *postgreSQL
	at  *place
	ids atomic.Int64
}

func newOwnWrites(t *postgreSQL) *ownWrites {
	o := &ownWrites{t: t}
	o.at = t.writable(ownClients, &o.ids)
	return o
}

func (o *ownWrites) places() []*place { return []*place{o.at} }

// Info describes the probe.
func (o *ownWrites) Info() drill.ProbeInfo {
	return o.t.checkInfo(drill.CheckOwn, ownInterval, ownClients)
}

func (t *postgreSQL) checkInfo(c drill.Check, interval time.Duration, sessions int) drill.ProbeInfo {
	return drill.ProbeInfo{
		Name: t.name + "/" + string(c), Kind: "postgresql", Target: t.name, Class: drill.ClassPooled, Check: c,
		Interval: interval, Deadline: checkDeadline, Sessions: sessions,
	}
}

// Sample lets the client whose turn it is write, or read what it has written so far.
func (o *ownWrites) Sample(ctx context.Context, s *drill.Sample) {
	s.Op = &drill.Op{}
	o.at.as(ctx, s, func(c *client) error {
		if c.asks {
			return o.read(ctx, s, c)
		}
		s.Op.Func, s.Op.Args = drill.OpWrite, []int64{s.Slot}
		c.top = s.Slot
		c.asks = true
		said, _, err := o.t.tables.call(ctx, c.sess, "own_write_1", c.id, s.Slot)
		if err != nil {
			return err
		}
		o.t.answered(s, said)
		confirm(s, said, c.sess)
		return nil
	})
	if s.Op.Func == "" {
		s.Op.Func = drill.OpWrite // that there was no connection is all that is known
	}
}

func (o *ownWrites) read(ctx context.Context, s *drill.Sample, c *client) error {
	s.Op.Func = drill.OpRead
	said, values, err := o.t.tables.call(ctx, c.sess, "own_read_1", c.id, c.top-ownWindow, ownWindow)
	if err == nil {
		err = o.t.show(s, c, said, values)
	}
	c.asks = err != nil
	return err
}
