package targets

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/failoverdrill/drill/internal/drill"
)

// ledger is drill's table in the target, seen by one run.
type ledger struct {
	run    string
	checks []drill.Check // whose tables there are beside it
}

// marker is the stream of the row that says that a run uses the ledger. No probe has an empty name.
const marker = ""

// maxSeen bounds how many sequence numbers one answer to a pinned probe holds. A slot asks until it has all of them: a
// member that seems not to show a write that it holds would seem to lag.
const maxSeen = 5000

// timelineSQL is the timeline that a server is on. The control file's is stale after a promotion, until a checkpoint.
const timelineSQL = `CASE WHEN pg_is_in_recovery()
    THEN coalesce((SELECT received_tli FROM pg_stat_wal_receiver), (SELECT timeline_id FROM pg_control_checkpoint()))
    ELSE ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int END`

// exporterLagSQL is the lag that postgres_exporter and CloudNativePG show on dashboards. It is recorded to be compared.
const exporterLagSQL = `CASE WHEN NOT pg_is_in_recovery() THEN 0
    WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
    ELSE greatest(0, extract(epoch FROM now() - pg_last_xact_replay_timestamp())) END`

// createSQL makes what is missing, so that a role without the right to create can use what a DBA has made. The
// functions ask whether the server is a replica before they write, in the same round trip, so that no probe ever puts
// an error into a replica's log. A change to a function needs a new number in its name.
const createSQL = `DO $ddl$ BEGIN
IF to_regnamespace('failoverdrill') IS NULL THEN
  CREATE SCHEMA failoverdrill;
END IF;
IF to_regclass('failoverdrill.ledger') IS NULL THEN
  CREATE TABLE failoverdrill.ledger (
    run text, stream text, seq bigint, at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run, stream, seq));
END IF;
IF to_regprocedure('failoverdrill.write_1(text, text, bigint)') IS NULL THEN
  CREATE FUNCTION failoverdrill.write_1(a_run text, a_stream text, a_seq bigint,
    OUT addr text, OUT recovering boolean, OUT timeline integer) LANGUAGE plpgsql AS $fn$
  BEGIN
    addr := host(inet_server_addr());
    recovering := pg_is_in_recovery();
    IF NOT recovering THEN
      INSERT INTO failoverdrill.ledger (run, stream, seq) VALUES (a_run, a_stream, a_seq);
    END IF;
    timeline := ` + timelineSQL + `;
  END $fn$;
END IF;
IF to_regprocedure('failoverdrill.look_1(text, text, bigint, text, bigint, bigint)') IS NULL THEN
  CREATE FUNCTION failoverdrill.look_1(a_run text, a_stream text, a_seq bigint, a_shown text, a_after bigint, a_limit bigint,
    OUT addr text, OUT recovering boolean, OUT timeline integer,
    OUT streaming boolean, OUT lag double precision, OUT seen bigint[]) LANGUAGE plpgsql AS $fn$
  BEGIN
    SELECT w.addr, w.recovering, w.timeline INTO addr, recovering, timeline
      FROM failoverdrill.write_1(a_run, a_stream, a_seq) w;
    streaming := EXISTS (SELECT FROM pg_stat_wal_receiver r WHERE coalesce(r.status, 'streaming') = 'streaming');
    lag := ` + exporterLagSQL + `;
    seen := ARRAY(SELECT l.seq FROM failoverdrill.ledger l
      WHERE l.run = a_run AND l.stream = a_shown AND l.seq > a_after ORDER BY l.seq LIMIT a_limit);
  END $fn$;
END IF;
END $ddl$`

// dropSQL takes away only what drill made, and only when no other run uses it. The schema stays when someone else's object
// is in it, when it is someone else's, or when the role could not make it again.
const dropSQL = `DO $ddl$ BEGIN
IF NOT EXISTS (SELECT FROM failoverdrill.ledger) THEN
  DROP TABLE failoverdrill.ledger;` + dropChecksSQL + `
  DROP FUNCTION IF EXISTS failoverdrill.look_1(text, text, bigint, text, bigint, bigint);
  DROP FUNCTION IF EXISTS failoverdrill.write_1(text, text, bigint);
  IF has_database_privilege(current_database(), 'CREATE') THEN
    BEGIN
      DROP SCHEMA failoverdrill;
    EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege THEN NULL;
    END;
  END IF;
END IF;
END $ddl$`

// lockSQL keeps two runs from making and dropping the ledger at the same time.
const lockSQL = `SELECT pg_advisory_xact_lock(hashtext('failoverdrill'))`

// create makes the ledger on the primary and enters the run.
func (l ledger) create(ctx context.Context, s *session) error {
	return inTransaction(ctx, s, append([]string{lockSQL, createSQL}, l.checkSQL()...), func() error {
		// After making what was missing, which took the locks, and before anything of it is called.
		theirs, err := l.strangers(ctx, s)
		if err != nil {
			return fmt.Errorf("ask whose the ledger is: %w", err)
		}
		if len(theirs) > 0 {
			return &strangersError{theirs}
		}
		if err := l.seed(ctx, s); err != nil {
			return err
		}
		_, err = s.rows(ctx, `INSERT INTO failoverdrill.ledger (run, stream, seq) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING`,
			l.run, marker)
		return err
	})
}

// drop removes the run's rows, those of runs that died long ago, and the ledger when no run is left in it.
func (l ledger) drop(ctx context.Context, s *session) error {
	row, err := s.row(ctx, `SELECT to_regclass('failoverdrill.ledger') IS NOT NULL`)
	if err != nil || !truth(row[0]) {
		return err
	}
	_, err = s.rows(ctx, `DELETE FROM failoverdrill.ledger WHERE run = $1 OR at < now() - interval '1 day'`, l.run)
	if err != nil {
		return err
	}
	if err := l.clearChecks(ctx, s); err != nil {
		return err
	}
	// A write that is still in flight somewhere holds a lock; it must not hold up the end of the run.
	return inTransaction(ctx, s, []string{`SET LOCAL lock_timeout = '3s'`, lockSQL, dropSQL}, nil)
}

func inTransaction(ctx context.Context, s *session, statements []string, do func() error) error {
	for _, sql := range append([]string{"BEGIN"}, statements...) {
		if _, err := s.rows(ctx, sql); err != nil {
			return errors.Join(err, rollback(ctx, s))
		}
	}
	if do != nil {
		if err := do(); err != nil {
			return errors.Join(err, rollback(ctx, s))
		}
	}
	_, err := s.rows(ctx, "COMMIT")
	return err
}

// rollback ends a failed transaction where there still is one to end.
func rollback(ctx context.Context, s *session) error {
	if s.conn.IsClosed() {
		return nil
	}
	_, err := s.rows(ctx, "ROLLBACK")
	return err
}

// shown reports whether the member shows that the run is entered. It asks first whether there is a table, because an
// error would be written into the replica's log.
func (l ledger) shown(ctx context.Context, s *session) (bool, error) {
	row, err := s.row(ctx, `SELECT to_regclass('failoverdrill.ledger') IS NOT NULL`)
	if err != nil || !truth(row[0]) {
		return false, err
	}
	row, err = s.row(ctx, `SELECT EXISTS (SELECT FROM failoverdrill.ledger WHERE run = $1 AND stream = $2)`, l.run, marker)
	return err == nil && truth(row[0]), err
}

// streams reads every row of the run, one after the other, and keeps stretches of them: there may be millions. It asks
// for no order, because rows lie nearly in the order in which they were written, and the server would have to sort them.
func (l ledger) streams(ctx context.Context, s *session) (map[string]drill.Numbers, error) {
	row, err := s.row(ctx, `SELECT to_regclass('failoverdrill.ledger') IS NOT NULL`)
	if err != nil || !truth(row[0]) {
		return map[string]drill.Numbers{}, err
	}
	held := map[string]*drill.Numbers{}
	err = s.each(ctx, func(row [][]byte) error {
		n := held[string(row[0])]
		if n == nil {
			n = &drill.Numbers{}
			held[string(row[0])] = n
		}
		seq, err := strconv.ParseInt(string(row[1]), 10, 64)
		n.Add(seq)
		return err
	}, `SELECT stream, seq FROM failoverdrill.ledger WHERE run = $1 AND stream <> $2`, l.run, marker)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	streams := make(map[string]drill.Numbers, len(held))
	for name, n := range held {
		streams[name] = *n
	}
	return streams, nil
}

// all reads every row of the run on the primary, and how far its WAL goes that holds them.
func (l ledger) all(ctx context.Context, s *session) (held map[string]drill.Numbers, head string, err error) {
	if held, err = l.streams(ctx, s); err != nil {
		return nil, "", err
	}
	row, err := s.row(ctx, `SELECT pg_current_wal_lsn()`)
	if err != nil {
		return nil, "", err
	}
	return held, string(row[0]), nil
}

// replayed reports whether a replica says that it has replayed the WAL up to head.
func (l ledger) replayed(ctx context.Context, s *session, head string) (bool, error) {
	row, err := s.row(ctx, `SELECT coalesce(pg_last_wal_replay_lsn() >= $1::pg_lsn, false)`, head)
	return err == nil && truth(row[0]), err
}

// word is what a server says of itself in a slot.
type word struct {
	addr       string
	recovering bool
	timeline   int64
	streaming  bool
	lag        float64 // NaN when the server says nothing
	seen       []int64
}

func (w word) role() drill.Role {
	if w.recovering {
		return drill.RoleReplica
	}
	return drill.RolePrimary
}

// write enters one slot, unless the server is a replica.
func (l ledger) write(ctx context.Context, s *session, stream string, seq int64) (word, error) {
	row, err := s.row(ctx, `SELECT addr, recovering, timeline FROM failoverdrill.write_1($1, $2, $3)`,
		l.run, stream, strconv.FormatInt(seq, 10))
	if err != nil {
		return word{}, err
	}
	return readWord(row)
}

// look enters one slot, unless the server is a replica, and reads which writes of another stream the server shows.
func (l ledger) look(ctx context.Context, s *session, stream string, seq int64, shown string, after int64) (word, error) {
	row, err := s.row(ctx,
		`SELECT addr, recovering, timeline, streaming, lag, seen FROM failoverdrill.look_1($1, $2, $3, $4, $5, $6)`,
		l.run, stream, strconv.FormatInt(seq, 10), shown, strconv.FormatInt(after, 10), strconv.Itoa(maxSeen))
	if err != nil {
		return word{}, err
	}
	w, err := readWord(row)
	if err != nil {
		return word{}, err
	}
	w.streaming, w.lag = truth(row[3]), math.NaN()
	if row[4] != nil {
		if w.lag, err = strconv.ParseFloat(string(row[4]), 64); err != nil {
			return word{}, fmt.Errorf("read the lag: %w", err)
		}
	}
	w.seen, err = sequences(string(row[5]))
	for more := w.seen; err == nil && len(more) == maxSeen; w.seen = append(w.seen, more...) {
		more, err = l.shows(ctx, s, shown, more[len(more)-1])
	}
	return w, err
}

// shows reads more of the writes of a stream that the server shows.
func (l ledger) shows(ctx context.Context, s *session, stream string, after int64) ([]int64, error) {
	row, err := s.row(ctx, `SELECT ARRAY(SELECT seq FROM failoverdrill.ledger
		WHERE run = $1 AND stream = $2 AND seq > $3 ORDER BY seq LIMIT $4)`, l.run, stream, strconv.FormatInt(after, 10), strconv.Itoa(maxSeen))
	if err != nil {
		return nil, err
	}
	return sequences(string(row[0]))
}

func readWord(row [][]byte) (word, error) {
	w := word{addr: string(row[0]), recovering: truth(row[1])}
	if row[2] == nil {
		return w, nil
	}
	var err error
	if w.timeline, err = strconv.ParseInt(string(row[2]), 10, 64); err != nil {
		return word{}, fmt.Errorf("read the timeline: %w", err)
	}
	return w, nil
}

// sequences reads an array of bigint.
func sequences(s string) ([]int64, error) {
	s = strings.Trim(s, "{}")
	if s == "" {
		return nil, nil
	}
	parts := strings.Split(s, ",")
	seqs := make([]int64, len(parts))
	for i, p := range parts {
		var err error
		if seqs[i], err = strconv.ParseInt(p, 10, 64); err != nil {
			return nil, fmt.Errorf("read sequence numbers: %w", err)
		}
	}
	return seqs, nil
}

func truth(v []byte) bool { return string(v) == "t" }

// denied reports whether the server refused for want of a right.
func denied(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "42501"
}
