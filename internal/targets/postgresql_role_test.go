package targets

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/test/postgres"
)

// TestRoleOfItsOwn runs the statements of docs/targets/postgresql.md and drills with the role that they make: it writes
// its ledger, leaves nothing behind, and can neither read nor write the application's table.
func TestRoleOfItsOwn(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.application()
	documented := documentedSQL(t)
	require.Len(t, documented, 3)
	for name, statements := range map[string][]string{
		"the right to create a schema":        documented,
		"a schema that a DBA has made":        {documented[0], "CREATE SCHEMA failoverdrill AUTHORIZATION drill"},
		"a schema that belongs to a DBA":      {documented[0], documented[1], "CREATE SCHEMA failoverdrill", "GRANT USAGE, CREATE ON SCHEMA failoverdrill TO drill"},
		"someone else's table in the schema":  {documented[0], documented[1], "CREATE SCHEMA failoverdrill AUTHORIZATION drill", "CREATE TABLE failoverdrill.other ()"},
		"no statistics, and no right to read": {documented[0], documented[1]},
	} {
		t.Run(name, func(t *testing.T) {
			l := &lab{t: t, pair: l.pair, kube: l.kube, dsn: l.dsn}
			for _, sql := range statements {
				l.pair.First.Query(postgres.Database, sql)
			}
			require.Eventually(t, func() bool {
				return len(l.pair.Second.Query("postgres", "SELECT FROM pg_roles WHERE rolname = 'drill'")) == 1
			}, 10*time.Second, 20*time.Millisecond, "the replica has heard of the role")
			dsn := strings.Replace(l.pair.DSN(), postgres.User+":"+postgres.Password, "drill:a-password", 1)
			target := l.target(fresh10, func(s *postgresqlSpec) { s.DSN = drill.Sensitive(dsn) })
			l.open(target)
			r := record(t, target)
			time.Sleep(time.Second)
			r.stop()
			written := acked(r.of("orders", 0, 0))
			assert.NotEmpty(t, written)
			back, err := target.ReadBack(t.Context())
			require.NoError(t, err)
			assert.True(t, back.Complete)
			for _, m := range []string{"orders-0", "orders-1"} {
				assert.Subset(t, numbers(back.Streams[m]["orders"]), written)
			}
			l.denied(dsn, "SELECT FROM bought", "INSERT INTO bought VALUES (now())", "DROP TABLE bought", "TRUNCATE bought")

			require.NoError(t, target.Close(t.Context()))
			left := l.pair.First.Query(postgres.Database, `SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
				WHERE n.nspname = 'failoverdrill' AND c.relname <> 'other' UNION ALL SELECT p.proname FROM pg_proc p
				JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'failoverdrill'`)
			assert.Empty(t, left)
			schema := l.pair.First.Query(postgres.Database, "SELECT nspname FROM pg_namespace WHERE nspname = 'failoverdrill'")
			assert.Equal(t, len(statements) > 2 && statements[2] != documented[2] || len(statements) == 2 && statements[1] != documented[1], len(schema) == 1,
				"a schema stays where a DBA made it")
			for _, sql := range []string{"DROP SCHEMA IF EXISTS failoverdrill CASCADE", "REVOKE ALL ON DATABASE orders FROM drill", "DROP ROLE drill"} {
				l.pair.First.Query(postgres.Database, sql)
			}
		})
	}
	assert.NotContains(t, l.pair.Second.Log(), "ERROR", "the replica's log stays clean")
}

// documentedSQL are the statements that the page of the target gives to a DBA.
func documentedSQL(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile("../../docs/targets/postgresql.md")
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)```sql\n(.*?)```").FindSubmatch(page)
	require.Len(t, block, 2)
	text := regexp.MustCompile(`--.*`).ReplaceAllString(string(block[1]), "")
	var statements []string
	for s := range strings.SplitSeq(text, ";") {
		if s = strings.TrimSpace(s); s != "" {
			statements = append(statements, strings.Replace(s, "…", "a-password", 1))
		}
	}
	return statements
}

// denied fails when a role may run one of the statements.
func (l *lab) denied(dsn string, statements ...string) {
	l.t.Helper()
	for _, sql := range statements {
		conn, err := pgconn.Connect(l.t.Context(), dsn)
		require.NoError(l.t, err)
		_, err = conn.Exec(l.t.Context(), sql).ReadAll()
		var pg *pgconn.PgError
		if assert.ErrorAs(l.t, err, &pg, sql) {
			assert.Equal(l.t, "42501", pg.Code, sql)
		}
		_ = conn.Close(l.t.Context())
	}
}
