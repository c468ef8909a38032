package targets

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/test/postgres"
)

// TestT19NobodyLaysOutTheLedger: a role that may make a schema makes drill's, with a function of its own in it, and waits
// for drill to call it with drill's rights. It is refused before anything of it is called, also for a superuser, who counts
// as a member of every role.
func TestT19NobodyLaysOutTheLedger(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	sql := func(statements ...string) {
		for _, s := range statements {
			l.pair.First.Query(postgres.Database, s)
		}
	}
	sql("CREATE ROLE mallory LOGIN PASSWORD 'm'", "GRANT CREATE ON DATABASE orders TO mallory", "CREATE ROLE root SUPERUSER LOGIN PASSWORD 'r'",
		"CREATE ROLE team", "GRANT team TO app")
	const trap = `CREATE FUNCTION failoverdrill.write_1(a_run text, a_stream text, a_seq bigint,
		OUT addr text, OUT recovering boolean, OUT timeline integer) LANGUAGE plpgsql AS $$ BEGIN CREATE TABLE caught (); timeline := 1; END $$`
	open := func(user string) (*postgreSQL, error) {
		dsn := strings.Replace(l.dsn, postgres.User+":"+postgres.Password, user, 1)
		target := l.target(func(s *postgresqlSpec) { s.DSN = drill.Sensitive(dsn) })
		_, err := target.Open(t.Context())
		return target, err
	}
	for name, tt := range map[string]struct {
		made []string
		user string
		says string
	}{
		"a function in a superuser's schema": {[]string{"CREATE SCHEMA failoverdrill", "GRANT CREATE, USAGE ON SCHEMA failoverdrill TO mallory, app",
			"SET ROLE mallory; " + trap}, postgres.User + ":" + postgres.Password, "function failoverdrill.write_1 of role mallory"},
		"the whole schema":       {[]string{"SET ROLE mallory; CREATE SCHEMA failoverdrill; GRANT ALL ON SCHEMA failoverdrill TO PUBLIC; " + trap}, postgres.User + ":" + postgres.Password, "schema failoverdrill of role mallory"},
		"for a superuser":        {[]string{"SET ROLE mallory; CREATE SCHEMA failoverdrill; GRANT ALL ON SCHEMA failoverdrill TO PUBLIC; " + trap}, "root:r", "function failoverdrill.write_1 of role mallory"},
		"the database's owner":   {[]string{"SET ROLE app; CREATE SCHEMA failoverdrill; GRANT ALL ON SCHEMA failoverdrill TO PUBLIC; " + trap}, "root:r", "function failoverdrill.write_1 of role app"},
		"a table with a trigger": {[]string{"SET ROLE mallory; CREATE SCHEMA failoverdrill; GRANT ALL ON SCHEMA failoverdrill TO PUBLIC; CREATE TABLE failoverdrill.ledger (run text, stream text, seq bigint, at timestamptz)"}, "root:r", "table failoverdrill.ledger of role mallory"},
	} {
		t.Run(name, func(t *testing.T) {
			sql(tt.made...)
			target, err := open(tt.user)
			var refusal *drill.Refusal
			require.ErrorAs(t, err, &refusal)
			assert.Equal(t, "ledger_of_another", refusal.Code)
			assert.Contains(t, refusal.Text, tt.says)
			require.NoError(t, target.Close(t.Context()))
			assert.Empty(t, l.pair.First.Query(postgres.Database, "SELECT relname FROM pg_class WHERE relname = 'caught'"), "it was never called")
			sql("DROP SCHEMA failoverdrill CASCADE")
		})
	}
	sql("SET ROLE team; SELECT 1", "CREATE SCHEMA failoverdrill AUTHORIZATION team", "GRANT ALL ON SCHEMA failoverdrill TO app")
	target, err := open(postgres.User + ":" + postgres.Password)
	require.NoError(t, err, "a role that drill's is a member of")
	require.NoError(t, target.Close(t.Context()))
}
