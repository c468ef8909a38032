package targets

import (
	"context"
	"fmt"
	"strconv"
)

// room is what bounds how many connections drill's role may open to one member. A limit below 0 is none.
type room struct {
	most, reserved, used int // of the server, by anyone
	role, roleUsed       int
	database, dbUsed     int
}

// roomSQL asks for a room's numbers in their order. A superuser is bound by max_connections alone.
const roomSQL = `SELECT current_setting('max_connections'),
  CASE WHEN r.rolsuper THEN 0 ELSE current_setting('superuser_reserved_connections')::int
    + coalesce(current_setting('reserved_connections', true), '0')::int END,
  (SELECT sum(numbackends) FROM pg_stat_database),
  CASE WHEN r.rolsuper THEN -1 ELSE r.rolconnlimit END, (SELECT count(*) FROM pg_stat_activity a WHERE a.usename = current_user),
  CASE WHEN r.rolsuper THEN -1 ELSE d.datconnlimit END, (SELECT s.numbackends FROM pg_stat_database s WHERE s.datid = d.oid)
FROM pg_roles r, pg_database d WHERE r.rolname = current_user AND d.datname = current_database()`

func readRoom(ctx context.Context, s *session) (r room, err error) {
	row, err := s.row(ctx, roomSQL)
	if err != nil {
		return r, err
	}
	for i, n := range []*int{&r.most, &r.reserved, &r.used, &r.role, &r.roleUsed, &r.database, &r.dbUsed} {
		if *n, err = strconv.Atoi(string(row[i])); err != nil {
			return r, fmt.Errorf("read how many connections are free: %w", err)
		}
	}
	return r, nil
}

// free is how many more connections there may be, and which number says so.
func (r room) free(user, database string) (n int, by string) {
	n = r.most - r.reserved - r.used
	by = fmt.Sprintf("max_connections is %d, with %d reserved for superusers and %d in use", r.most, r.reserved, r.used)
	if left := r.role - r.roleUsed; r.role >= 0 && left < n {
		n, by = left, fmt.Sprintf("the CONNECTION LIMIT of role %q is %d, with %d in use", user, r.role, r.roleUsed)
	}
	if left := r.database - r.dbUsed; r.database >= 0 && left < n {
		n, by = left, fmt.Sprintf("the CONNECTION LIMIT of database %q is %d, with %d in use", database, r.database, r.dbUsed)
	}
	return max(n, 0), by
}

// ownConnections are those beside the probes': one to ask who is there, one to read back, one that is being closed.
const ownConnections = 3

// need is how many connections to one member drill may have open beside the pinned session, which is open already: every
// member may become the one that all clients go to.
func (t *postgreSQL) need() int {
	return t.sessions() + t.freshSessions() + t.checkClients() + ownConnections
}

// checkConnections makes sure that drill cannot be what takes the last connection.
func (t *postgreSQL) checkConnections(ctx context.Context, all []known) error {
	need := t.need()
	for _, k := range all {
		r, err := readRoom(ctx, k.sess)
		if err != nil {
			return fmt.Errorf("ask %s of target %q for its limits: %w", k.pod.Name, t.name, t.dial.scrub(err))
		}
		if free, by := r.free(k.user, k.database); free < need {
			return t.refuse("too_few_connections", nil,
				"%s has %d connections left for user %q: %s. At write_rate = %d and fresh_rate = %d drill may need %d while a failover lasts: %d pooled, %d fresh, %d for invariants and %d of its own, beside the pinned one. Lower the rates, or raise that limit",
				k.pod.Name, free, k.user, by, t.spec.WriteRate, t.spec.FreshRate, need, t.sessions(), t.freshSessions(), t.checkClients(), ownConnections)
		}
	}
	return nil
}
