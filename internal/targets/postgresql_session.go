package targets

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// dialer opens sessions with the credentials of one DSN, and knows every socket that is still open.
type dialer struct {
	config *pgconn.Config
	bound  *kube.Dialer // makes the connections that are allowed

	mu     sync.Mutex
	socks  map[*sock]struct{}
	closed bool
}

// sock is a socket that takes itself off the dialer's list.
type sock struct {
	net.Conn
	d *dialer
}

func (s *sock) Close() error {
	s.d.mu.Lock()
	delete(s.d.socks, s)
	s.d.mu.Unlock()
	return s.Conn.Close()
}

// newDialer reads a DSN; ca is the PEM text of whom to trust, or empty.
func newDialer(dsn, ca string) (*dialer, error) {
	l, err := readDSN(dsn)
	var config *pgconn.Config
	if err == nil {
		config, err = l.config(ca)
	}
	if err != nil {
		return nil, errors.New(strings.TrimSuffix(err.Error(), ".")) // its own words quote nothing of the password
	}
	d := &dialer{config: config, bound: (*kube.Reach)(nil).Bound(plain(), nil), socks: map[*sock]struct{}{}}
	config.DialFunc = d.net
	return d, nil
}

// plain dials without keepalives: drill decides by its own deadlines when a session is given up. Dials without a nearer
// deadline are those that cancel a statement of a session that was given up, which must not pile up.
func plain() net.Dialer { return net.Dialer{Timeout: askTimeout, KeepAlive: -1} }

// bind bounds what the DSN may lead to. The members' own addresses are always allowed: the cluster named them, and no requester.
func (d *dialer) bind(reach *kube.Reach, member func(netip.Addr) bool) {
	if reach.Named(d.config.Host) {
		reach = nil
	}
	d.bound = reach.Bound(plain(), member)
}

// net makes a connection, and keeps account of it.
func (d *dialer) net(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.bound.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	s := &sock{Conn: c, d: d}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		c.Close()
		return nil, net.ErrClosed
	}
	d.socks[s] = struct{}{}
	return s, nil
}

// close gives sessions that are being closed a moment to say goodbye, then closes every socket.
func (d *dialer) close(ctx context.Context) {
	left := func() []*sock {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.closed = true
		var all []*sock
		for s := range d.socks {
			all = append(all, s)
		}
		return all
	}
	moment, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	for len(left()) > 0 && moment.Err() == nil {
		pause(moment, 10*time.Millisecond)
	}
	for _, s := range left() {
		_ = s.Close()
	}
}

// qualify replaces the host, but not the name that its certificate must carry.
func (d *dialer) qualify(host string) {
	for _, f := range d.config.Fallbacks {
		f.Host = host
	}
	d.config.Host = host
}

// scrub makes sure that an error does not quote the password, whoever worded it.
func (d *dialer) scrub(err error) error {
	if err == nil || d.config.Password == "" || !strings.Contains(err.Error(), d.config.Password) {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), d.config.Password, drill.Sensitive("").String()))
}

// session is one connection to one server.
type session struct {
	conn   *pgconn.PgConn
	warned bool // the server sent a warning with the last statement
	given  bool // drill itself gave it up; its owner's lock guards it
}

// service opens a session to the host of the DSN.
func (d *dialer) service(ctx context.Context) (*session, error) {
	return d.open(ctx, d.config.Host, d.config.Port)
}

// open opens a session with the DSN's credentials to some host. A certificate is still checked against the DSN's host.
func (d *dialer) open(ctx context.Context, host string, port uint16) (*session, error) {
	s := &session{}
	config := d.config.Copy()
	config.Host, config.Port = host, port
	for _, f := range config.Fallbacks {
		f.Host, f.Port = host, port
	}
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		s.warned = s.warned || n.SeverityUnlocalized == "WARNING" || n.Severity == "WARNING"
	}
	var err error
	if s.conn, err = pgconn.ConnectConfig(ctx, config); err != nil {
		return nil, err
	}
	return s, nil
}

// row runs a statement that returns one row, in one round trip. A nil value is NULL.
func (s *session) row(ctx context.Context, sql string, args ...string) ([][]byte, error) {
	rows, err := s.rows(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 {
		return nil, errors.New("the server did not answer with one row")
	}
	return rows[0], nil
}

func (s *session) rows(ctx context.Context, sql string, args ...string) ([][][]byte, error) {
	s.warned = false
	// Read waits until the server is ready again, so the commit, which follows the rows, is part of the answer.
	result := s.conn.ExecParams(ctx, sql, params(args), nil, nil, nil).Read()
	return result.Rows, result.Err
}

// each hands over one row of the answer after the other, without keeping them.
func (s *session) each(ctx context.Context, do func(row [][]byte) error, sql string, args ...string) error {
	result := s.conn.ExecParams(ctx, sql, params(args), nil, nil, nil)
	var failed error
	for failed == nil && result.NextRow() {
		failed = do(result.Values())
	}
	_, err := result.Close()
	return errors.Join(failed, err)
}

func params(args []string) [][]byte {
	all := make([][]byte, len(args))
	for i, a := range args {
		all[i] = []byte(a)
	}
	return all
}

// close says goodbye, briefly.
func (s *session) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	_ = s.conn.Close(ctx)
}

// giveUp closes the socket, and notes that it was not the server that ended the session.
func (s *session) giveUp() {
	s.given = true
	s.cut()
}

// cut closes the socket under a statement that may be waiting.
func (s *session) cut() { _ = s.conn.Conn().Close() }

// judge says what became of a statement, and how it failed. Only what is proved not to have happened is a failure.
func judge(err error) (drill.Outcome, string) {
	if err == nil {
		return drill.OutcomeOK, ""
	}
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg):
		// An ERROR is sent for a transaction that was rolled back. FATAL and PANIC end the session at any moment, and
		// a pooler's connection errors say nothing about the server behind it.
		if severity(pg) == "ERROR" && !strings.HasPrefix(pg.Code, "08") && pg.Code != "40003" {
			return drill.OutcomeFail, signal(err)
		}
	case pgconn.SafeToRetry(err):
		return drill.OutcomeFail, signal(err)
	}
	return drill.OutcomeIndeterminate, signal(err)
}

func severity(pg *pgconn.PgError) string {
	if pg.SeverityUnlocalized != "" {
		return pg.SeverityUnlocalized
	}
	return pg.Severity // servers before 9.6, and poolers
}

// signal names the way in which something failed.
func signal(err error) string {
	var pg *pgconn.PgError
	network := drill.NetworkSignal(err)
	switch {
	case errors.As(err, &pg):
		return pgSignal(pg)
	case pgconn.Timeout(err) && (network == drill.SignalError || network == drill.SignalClosed):
		return drill.SignalTimeout
	case errors.Is(err, pgconn.ErrConnClosed) && network == drill.SignalError:
		return drill.SignalClosed
	}
	return network
}

func pgSignal(pg *pgconn.PgError) string {
	switch {
	case strings.HasPrefix(pg.Code, "57P0"):
		return drill.SignalTerminated
	case strings.HasPrefix(pg.Code, "28"):
		return drill.SignalAuth
	case pg.Code == "25006":
		return drill.SignalReadOnly
	}
	return drill.SignalError
}

// pause waits for d or for ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
