package targets

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	corev1 "k8s.io/api/core/v1"

	"github.com/failoverdrill/drill/internal/drill"
)

// Primary asks every member that there is now, by a fresh connection, and returns the only one that says it is the
// primary.
func (t *postgreSQL) Primary(ctx context.Context) (drill.Member, error) {
	all, primary, err := t.present(ctx)
	defer hangUp(all)
	if err != nil {
		return drill.Member{}, err
	}
	t.remember(all[primary])
	return all[primary].member(), nil
}

// Members asks every pod that is a member now for its role. Those that do not answer are left out.
func (t *postgreSQL) Members(ctx context.Context) ([]drill.Member, error) {
	all, _, err := t.present(ctx)
	defer hangUp(all)
	var ms []drill.Member
	for _, k := range all {
		if k.sess == nil {
			continue
		}
		t.remember(k)
		ms = append(ms, k.member())
	}
	if len(ms) > 0 {
		err = nil // that there is not one primary matters to those who ask for it
	}
	return ms, err
}

// present asks every pod that is a member now. Members that do not answer have no session; the error says that there
// is not one primary.
func (t *postgreSQL) present(ctx context.Context) (all []known, primary int, err error) {
	if t.dial == nil {
		return nil, -1, fmt.Errorf("target %q is not open", t.name)
	}
	pods, _, err := t.podSource().load(ctx)
	if err != nil {
		return nil, -1, err
	}
	t.cluster.setPods(pods)
	var up []*corev1.Pod
	for _, pod := range t.cluster.members() {
		if pod.Status.PodIP != "" {
			up = append(up, pod)
		}
	}
	all, errs := t.askAll(ctx, up)
	var primaries []string
	primary = -1
	for i, k := range all {
		if errs[i] == nil && !k.recovering {
			primaries, primary = append(primaries, k.pod.Name), i
		}
	}
	switch len(primaries) {
	case 1:
		return all, primary, nil
	case 0:
		return all, -1, errors.Join(append([]error{fmt.Errorf("no member of target %q says that it is the primary", t.name)}, errs...)...)
	}
	return all, -1, fmt.Errorf("%s of target %q all say that they are the primary", list(primaries), t.name)
}

func hangUp(all []known) {
	for _, k := range all {
		if k.sess != nil {
			k.sess.close()
		}
	}
}

// Connect has nothing to do: the pinned sessions are open.
func (t *postgreSQL) Connect(context.Context, drill.Member) {}

// Connection is the state of the pinned session to this very member.
func (t *postgreSQL) Connection(m drill.Member) drill.Connection {
	for _, p := range t.pinned {
		if c := p.connection(m.UID, time.Now()); c.State != drill.ConnectionNone {
			return c
		}
	}
	return drill.Connection{}
}

// Answers reports whether this very member still accepts new connections at its address. Another server that has the
// address now, or the same one started again, is not this member. Where it cannot be told apart, it counts as this one.
func (t *postgreSQL) Answers(ctx context.Context, m drill.Member) bool {
	if t.dial == nil || m.IP == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	s, err := t.dial.open(ctx, m.IP, t.cluster.port(t.dial.config.Port))
	if err != nil {
		// A server that is full or that rejects the login is up; one that is starting or stopping takes nobody.
		var pg *pgconn.PgError
		return errors.As(err, &pg) && signal(err) != drill.SignalTerminated
	}
	defer s.close()
	row, err := s.row(ctx, `SELECT extract(epoch FROM pg_postmaster_start_time())`)
	if err != nil {
		return false
	}
	started, ok := t.started.Load(m.UID)
	return !ok || started == string(row[0])
}

// ReadBack reads what every member holds of the ledger, once each replica says that it has what the primary has.
func (t *postgreSQL) ReadBack(ctx context.Context) (drill.ReadBack, error) {
	rb := drill.ReadBack{Target: t.name, Streams: map[string]map[string]drill.Numbers{}}
	all, primary, err := t.present(ctx)
	defer hangUp(all)
	if err != nil {
		// What can be read is still worth having, but nothing can be called lost.
		for _, k := range all {
			if k.sess != nil {
				rb.Streams[k.pod.Name], _ = t.tables.streams(ctx, k.sess)
			}
		}
		return rb, fmt.Errorf("read the ledger back: %w", err)
	}
	p := all[primary]
	held, head, err := t.tables.all(ctx, p.sess)
	if err != nil {
		return rb, fmt.Errorf("read the ledger of target %q back from %s: %w", t.name, p.pod.Name, t.dial.scrub(err))
	}
	rb.Primary, rb.Streams[p.pod.Name], rb.Complete = p.pod.Name, held, len(all) >= len(t.opened)

	var mu sync.Mutex
	var wg sync.WaitGroup
	for i, k := range all {
		if i == primary {
			continue
		}
		wg.Go(func() {
			streams, caught := t.catchUp(ctx, k, held, head)
			mu.Lock()
			defer mu.Unlock()
			rb.Complete = rb.Complete && caught
			if streams != nil {
				rb.Streams[k.pod.Name] = streams
			}
		})
	}
	wg.Wait()
	return rb, nil
}

// catchUp waits until a replica says that it has replayed what the primary had written, and reads it. One that says so
// and does not show every row is read again, for a moment: a row of a transaction that did not wait for its WAL may be
// older than head. A replica that was away is asked again.
func (t *postgreSQL) catchUp(ctx context.Context, k known, want map[string]drill.Numbers, head string) (last map[string]drill.Numbers, caught bool) {
	sess := k.sess
	defer func() {
		if sess != nil && sess != k.sess {
			sess.close()
		}
	}()
	wait, cancel := context.WithTimeout(ctx, catchTimeout)
	defer cancel()
	var since time.Time // when it first said so
	for ; wait.Err() == nil; pause(wait, pinnedInterval) {
		if sess == nil {
			again, err := t.ask(wait, k.pod)
			if err != nil {
				continue
			}
			sess = again.sess
		}
		replayed, err := t.tables.replayed(wait, sess, head)
		if err == nil && (replayed || last == nil) {
			// A long ledger takes longer to read than a replica may take to catch up.
			var streams map[string]drill.Numbers
			if streams, err = t.tables.streams(ctx, sess); err == nil {
				last, caught = streams, replayed
			}
		}
		if err != nil {
			if sess != k.sess {
				sess.close()
			}
			sess = nil
			continue
		}
		if caught && since.IsZero() {
			since = time.Now()
		}
		if caught && (shows(last, want) || time.Since(since) > walTimeout) {
			break
		}
	}
	return last, caught
}

// shows reports whether the streams hold everything that the primary's hold.
func shows(streams, want map[string]drill.Numbers) bool {
	for name, n := range want {
		if !streams[name].Includes(n) {
			return false
		}
	}
	return true
}

// Close ends every session and removes the run's rows, and the ledger itself when no other run uses it.
func (t *postgreSQL) Close(ctx context.Context) error {
	if t.dial == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	defer t.dial.close(ctx)
	if t.pool != nil {
		t.pool.close()
	}
	for _, p := range t.pinned {
		p.close()
	}
	for _, c := range t.checks {
		for _, p := range c.places() {
			p.close()
		}
	}
	if !t.made {
		return nil
	}
	// A failover may still be going on.
	err := t.removeLedger(ctx)
	for ; err != nil && ctx.Err() == nil; err = t.removeLedger(ctx) {
		pause(ctx, pinnedInterval)
	}
	if err != nil {
		return fmt.Errorf("remove the ledger of target %q (schema failoverdrill in database %s): %w",
			t.name, t.dial.config.Database, t.dial.scrub(err))
	}
	t.made = false
	return nil
}

func (t *postgreSQL) removeLedger(ctx context.Context) error {
	all, primary, err := t.present(ctx)
	defer hangUp(all)
	if err != nil {
		return err
	}
	return t.tables.drop(ctx, all[primary].sess)
}
