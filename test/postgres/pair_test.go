package postgres

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPairStreamsFailsOverAndRejoins(t *testing.T) {
	began := time.Now()
	p := Start(t)
	t.Logf("started in %v", time.Since(began))
	p.First.Query(Database, "CREATE TABLE t AS SELECT 7 AS n")
	written := p.First.Query(Database, "SELECT pg_current_wal_lsn()")[0][0]
	p.Second.waitFor("SELECT pg_last_wal_replay_lsn() >= '" + written + "'")

	p.First.Kill()
	p.FailOver()
	if got := p.Second.Query(Database, "SELECT n FROM t"); len(got) != 1 || got[0][0] != "7" {
		t.Errorf("the promoted standby shows %v", got)
	}
	p.Rejoin()
	p.First.waitFor("SELECT pg_is_in_recovery()")
	t.Logf("all in %v", time.Since(began))
}
