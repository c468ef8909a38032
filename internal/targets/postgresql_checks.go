package targets

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// errBusy says that every client of a check waits for an answer.
var errBusy = errors.New("every client is waiting for an answer")

// client is one session of a check, as an application's is: it connects again when its connection is gone, and goes on
// as the same client.
type client struct {
	id   int64
	sess *session
	top  int64 // the highest number that it has been shown
	asks bool  // what it does next is to read
}

// place is where clients of a check connect to: one member, or a Service.
type place struct {
	member string // empty for a Service
	dial   func(context.Context) (*session, error)
	most   int           // clients at the same time
	ids    *atomic.Int64 // of the probe

	closing sync.WaitGroup
	mu      sync.Mutex
	idle    []*client
	made    int
	closed  bool
}

// take returns the client that has rested longest, or a new one.
func (p *place) take() (*client, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return nil, net.ErrClosed
	case len(p.idle) > 0:
		c := p.idle[0]
		p.idle = append(p.idle[:0], p.idle[1:]...)
		return c, nil
	case p.made >= p.most:
		return nil, errBusy
	}
	p.made++
	return &client{id: p.ids.Add(1), top: -1}, nil
}

func (p *place) put(c *client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.sess != nil && (p.closed || c.sess.conn.IsClosed()) {
		p.closing.Go(c.sess.close) // outside the slot: its time is being taken
		c.sess = nil
	}
	p.idle = append(p.idle, c)
}

// warm connects some clients, before anything is broken.
func (p *place) warm(ctx context.Context, n int) error {
	var all []*client
	defer func() {
		for _, c := range all {
			p.put(c)
		}
	}()
	for range min(n, p.most) {
		c, err := p.take()
		if err != nil {
			return err
		}
		all = append(all, c)
		if c.sess, err = p.dial(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (p *place) close() {
	p.mu.Lock()
	p.closed = true
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, c := range idle {
		if c.sess != nil {
			p.closing.Go(c.sess.close)
		}
	}
	p.closing.Wait()
}

// as lets a client of the place do something in its session. Nothing is sent when there is no client or no connection.
func (p *place) as(ctx context.Context, s *drill.Sample, do func(c *client) error) {
	s.Member = p.member
	c, err := p.take()
	if err != nil {
		s.Outcome, s.Signal = drill.OutcomeBlocked, ""
		return
	}
	defer p.put(c)
	s.Op.Session = c.id
	if c.sess == nil {
		if c.sess, err = p.dial(ctx); err != nil {
			c.sess = nil
			s.Outcome, s.Signal = drill.OutcomeFail, signal(err)
			return
		}
	}
	if err := do(c); err != nil {
		s.Outcome, s.Signal = judge(err)
	}
}

// answered notes who answered a slot of a check.
func (t *postgreSQL) answered(s *drill.Sample, said word) {
	s.Outcome = drill.OutcomeOK
	t.answeredBy(s, said)
}

// check is the probe of an invariant.
type check interface {
	drill.Probe
	places() []*place
}

// How often the checks ask, and how many clients they have at each place.
const (
	readsInterval    = 50 * time.Millisecond
	ownInterval      = 100 * time.Millisecond
	sumInterval      = 100 * time.Millisecond
	registerInterval = 50 * time.Millisecond
	checkDeadline    = pooledDeadline
	readsDeadline    = 500 * time.Millisecond // a read that takes longer cannot be had

	ownClients      = 4
	sumClients      = 4
	sumReaders      = 2
	registerClients = 6
)

// checkClients is how many connections to one member the checks may need beside all others.
func (t *postgreSQL) checkClients() int {
	n := 0
	for _, c := range t.Checks {
		switch c {
		case drill.CheckReads:
			n += t.readers()
		case drill.CheckOwn:
			n += ownClients
		case drill.CheckSum:
			n += sumClients + sumReaders
		case drill.CheckRegister:
			n += registerClients
		}
	}
	return n
}

// openChecks makes the probes that the drill's objectives ask for, and connects their first clients.
func (t *postgreSQL) openChecks(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	for _, c := range t.Checks {
		switch c {
		case drill.CheckReads:
			t.checks = append(t.checks, newReads(t))
		case drill.CheckOwn:
			t.checks = append(t.checks, newOwnWrites(t))
		case drill.CheckSum:
			t.checks = append(t.checks, newSum(t))
		case drill.CheckRegister:
			t.checks = append(t.checks, newRegisters(t))
		}
	}
	for _, c := range t.checks {
		for _, p := range c.places() {
			if err := p.warm(ctx, 2); err != nil {
				return t.refuse("check_unreachable", t.dial.scrub(err), "the probe %s cannot connect to %s. Check the host, and that it leads to the members",
					c.Info().Name, t.whereIs(p))
			}
		}
	}
	return nil
}

// whereIs names a place for people.
func (t *postgreSQL) whereIs(p *place) string {
	switch {
	case p.member != "":
		return "member " + p.member
	case t.spec.ReadService != "":
		return "read_service " + t.spec.ReadService
	}
	return "the dsn's host " + t.dial.config.Host
}

// writable is the Service that writing clients connect to.
func (t *postgreSQL) writable(most int, ids *atomic.Int64) *place {
	return &place{dial: t.dial.service, most: most, ids: ids}
}

// everyMember has a place for each member that there is now.
func (t *postgreSQL) everyMember(most int, ids *atomic.Int64) []*place {
	var all []*place
	for _, pod := range t.cluster.members() {
		name := pod.Name
		all = append(all, &place{member: name, most: most, ids: ids, dial: func(ctx context.Context) (*session, error) {
			now, ok := t.cluster.live(name)
			if !ok || now.Status.PodIP == "" {
				return nil, &net.OpError{Op: "dial", Err: errNoAddress}
			}
			return t.dial.open(ctx, now.Status.PodIP, t.cluster.port(t.dial.config.Port))
		}})
	}
	return all
}

// readable is where reading clients connect to: read_service, or every member by itself.
func (t *postgreSQL) readable(ids *atomic.Int64) []*place {
	if t.spec.ReadService == "" {
		return t.everyMember(t.readers(), ids)
	}
	host := t.spec.ReadService
	if _, err := netip.ParseAddr(host); err != nil && !strings.Contains(host, ".") {
		host += "." + t.spec.Namespace + ".svc"
	}
	return []*place{{most: t.readers(), ids: ids, dial: func(ctx context.Context) (*session, error) {
		return t.dial.open(ctx, host, t.dial.config.Port)
	}}}
}

// checkSQL makes what the checks need, when it is missing: tables of drill's own, and functions that ask whether the
// server is a replica before they write.
func (l ledger) checkSQL() []string {
	sql := map[drill.Check]func() string{drill.CheckReads: readsSQL, drill.CheckOwn: ownSQL, drill.CheckSum: sumSQL, drill.CheckRegister: registerSQL}
	var all []string
	for _, c := range l.checks {
		all = append(all, "DO $ddl$ BEGIN\n"+sql[c]()+"\nEND $ddl$")
	}
	return all
}

// seed enters what the checks begin with.
func (l ledger) seed(ctx context.Context, s *session) error {
	if slices.Contains(l.checks, drill.CheckSum) {
		_, err := s.rows(ctx, `INSERT INTO failoverdrill.accounts (run, id, balance) SELECT $1, id, $2 FROM generate_series(0, $3::int - 1) id
			ON CONFLICT DO NOTHING`, l.run, strconv.Itoa(accountBalance), strconv.Itoa(accounts))
		if err != nil {
			return fmt.Errorf("make accounts: %w", err)
		}
	}
	if slices.Contains(l.checks, drill.CheckRegister) {
		_, err := s.rows(ctx, `INSERT INTO failoverdrill.registers (run, key, value) SELECT $1, key, 0 FROM generate_series(0, $2::int - 1) key
			ON CONFLICT DO NOTHING`, l.run, strconv.Itoa(registers))
		if err != nil {
			return fmt.Errorf("make registers: %w", err)
		}
	}
	return nil
}

// clearChecksSQL removes rows of the checks as drop removes those of the ledger.
const clearChecksSQL = `SELECT t, to_regclass('failoverdrill.' || t) IS NOT NULL FROM unnest(ARRAY['own', 'accounts', 'registers']) t`

// clearChecks removes the run's rows, and those of runs that died long ago.
func (l ledger) clearChecks(ctx context.Context, s *session) error {
	tables, err := s.rows(ctx, clearChecksSQL)
	if err != nil {
		return err
	}
	for _, row := range tables {
		if !truth(row[1]) {
			continue
		}
		if _, err := s.rows(ctx, `DELETE FROM failoverdrill.`+string(row[0])+` WHERE run = $1 OR at < now() - interval '1 day'`, l.run); err != nil {
			return err
		}
	}
	return nil
}

// dropChecksSQL is part of dropSQL: no run is left that could use them.
const dropChecksSQL = `
  DROP FUNCTION IF EXISTS failoverdrill.read_1(text, text, bigint, bigint);
  DROP FUNCTION IF EXISTS failoverdrill.own_write_1(text, bigint, bigint);
  DROP FUNCTION IF EXISTS failoverdrill.own_read_1(text, bigint, bigint, bigint);
  DROP FUNCTION IF EXISTS failoverdrill.transfer_1(text, bigint, bigint, bigint);
  DROP FUNCTION IF EXISTS failoverdrill.accounts_1(text);
  DROP FUNCTION IF EXISTS failoverdrill.register_read_1(text, bigint);
  DROP FUNCTION IF EXISTS failoverdrill.register_write_1(text, bigint, bigint);
  DROP FUNCTION IF EXISTS failoverdrill.register_cas_1(text, bigint, bigint, bigint);
  DROP TABLE IF EXISTS failoverdrill.own, failoverdrill.accounts, failoverdrill.registers;`

// checkFunction is the SQL that makes a function of a check when it is missing. Each says who answers, like the ledger's.
func checkFunction(name, types, arguments, out, body string) string {
	return `IF to_regprocedure('failoverdrill.` + name + `(` + types + `)') IS NULL THEN
  CREATE FUNCTION failoverdrill.` + name + `(` + arguments + `,
    OUT addr text, OUT recovering boolean, OUT timeline integer` + out + `) LANGUAGE plpgsql AS $fn$
  BEGIN
    addr := host(inet_server_addr());
    recovering := pg_is_in_recovery();
    timeline := ` + timelineSQL + `;
    ` + body + `
  END $fn$;
END IF;`
}

// rangesSQL reads which numbers a table shows above one that lies a window below the highest, or lower: that number, and
// the ranges above it. One statement sees one state of the table.
func rangesSQL(from string) string {
	return `SELECT w.after, coalesce((SELECT array_agg(v.n ORDER BY i.low, v.n) FROM
        (SELECT min(g.seq) AS low, max(g.seq) AS high FROM
          (SELECT seq, seq - row_number() OVER (ORDER BY seq) AS island FROM ` + from + ` AND seq > w.after) g GROUP BY g.island) i,
        LATERAL (VALUES (i.low), (i.high)) v(n)), '{}')
      INTO after, shown
      FROM (SELECT greatest(-1, least(a_after, coalesce(max(seq), -1) - a_window)) AS after FROM ` + from + `) w;`
}

// call runs a function of a check. The first three values of its answer say who gave it.
func (l ledger) call(ctx context.Context, s *session, function string, args ...int64) (word, [][]byte, error) {
	params, places := []string{l.run}, []string{"$1"}
	for i, a := range args {
		params, places = append(params, strconv.FormatInt(a, 10)), append(places, "$"+strconv.Itoa(i+2))
	}
	return l.answer(ctx, s, `SELECT * FROM failoverdrill.`+function+`(`+strings.Join(places, ", ")+`)`, params...)
}

func (l ledger) answer(ctx context.Context, s *session, sql string, args ...string) (word, [][]byte, error) {
	row, err := s.row(ctx, sql, args...)
	if err != nil {
		return word{}, nil, err
	}
	said, err := readWord(row)
	return said, row[3:], err
}

// shownIn puts together what a read of ranges was answered.
func shownIn(values [][]byte) ([]int64, error) {
	after, err := strconv.ParseInt(string(values[0]), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("read what is shown: %w", err)
	}
	ranges, err := sequences(string(values[1]))
	return append([]int64{after}, ranges...), err
}
