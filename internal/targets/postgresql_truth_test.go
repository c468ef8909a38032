//go:build truth

package targets

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/test/postgres"
)

const pooledDelta = 20 * time.Millisecond

// TestTruthLostWrites kills the primary while replication is late by a known time. What drill calls lost is what the dead
// server's own files hold and the new primary does not.
func TestTruthLostWrites(t *testing.T) {
	for _, delay := range []time.Duration{0, 100 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second} {
		t.Run(delay.String(), func(t *testing.T) { killBehind(t, delay, "") })
	}
	for _, delay := range []time.Duration{0, 100 * time.Millisecond} {
		t.Run(delay.String()+" remote_apply", func(t *testing.T) { killBehind(t, delay, "remote_apply") })
	}
}

func killBehind(t *testing.T, delay time.Duration, synchronous string) {
	t.Helper()
	l := newLab(t)
	if synchronous != "" {
		l.synchronous(synchronous)
	}
	l.pair.Stream.Delay(delay)
	target := l.target(fresh10)
	members := l.open(target)
	r := record(t, target)
	time.Sleep(3*time.Second + delay)

	l.pair.Stream.Sever()
	killed := l.pair.First.Kill()
	late := l.pair.Stream.Late()
	time.Sleep(300 * time.Millisecond)
	passed, refused := l.pair.Stream.Edge()
	l.pair.FailOver()
	l.lead(l.pair.Second, l.pair.First, "uid-1", "uid-0")
	time.Sleep(1500 * time.Millisecond)
	r.stop()

	dead := l.pair.Autopsy()
	rows := `SELECT stream || ' ' || seq, extract(epoch FROM pg_xact_commit_timestamp(xmin)) FROM failoverdrill.ledger WHERE stream <> ''`
	kept := map[string]bool{}
	for _, row := range l.pair.Second.Query(postgres.Database, rows) {
		kept[row[0]] = true
	}
	truth := map[string]bool{} // what the dead server had committed and nobody holds any more
	var commits []float64
	for _, row := range dead.Query(postgres.Database, rows) {
		if !kept[row[0]] {
			truth[row[0]] = true
			at, err := strconv.ParseFloat(row[1], 64)
			require.NoError(t, err)
			commits = append(commits, at)
		}
	}
	l.pair.Stream.Delay(0)
	l.pair.Rejoin()
	back, err := target.ReadBack(t.Context())
	require.NoError(t, err)
	require.True(t, back.Complete)
	rep := r.report(t, members, target.Probes(), killed, &back)

	// A commit whose answer was on its way when the server died was not acknowledged: drill says that it is in doubt.
	unanswered := 0
	for name := range truth {
		probe, seq, _ := strings.Cut(name, " ")
		n, _ := strconv.ParseInt(seq, 10, 64)
		s, known := r.outcomes(probe)[n]
		require.True(t, known, "the server has a row %s that drill never sent", name)
		if s.Outcome == drill.OutcomeOK {
			continue
		}
		unanswered++
		assert.Equal(t, drill.OutcomeIndeterminate, s.Outcome, name)
		assert.LessOrEqual(t, s.Sent, r.at(killed.After), name)
		assert.GreaterOrEqual(t, s.Done, r.at(killed.Before), name)
	}
	w := rep.Writes
	// Lost is what was committed from the last WAL that reached the standby to the kill, by when it reached the relay.
	var low time.Duration
	if !refused.IsZero() {
		low = max(0, killed.Before.Sub(refused))
	}
	high := killed.After.Sub(passed)
	slices.Sort(commits)
	var own float64
	if len(commits) > 0 {
		own = commits[len(commits)-1] - commits[0]
	}
	t.Logf("delay %v%s: acked %d, lost %d over %.3f s; the server's record: %d rows over %.3f s, %d of them unanswered; truth %v to %v; relay late by %v at most",
		delay, " "+synchronous, w.Acked, *w.Lost, *w.LostSpan, len(truth), own, unanswered, low, high, late)
	vouched(t, rep)
	assert.Equal(t, len(truth)-unanswered, *w.Lost, "lost, by the server's own record")
	if synchronous != "" {
		assert.Zero(t, *w.Lost, "a replica showed each write before it was acknowledged")
		return
	}
	require.InDelta(t, delay.Seconds(), (low+high).Seconds()/2, pooledDelta.Seconds(), "the delay was another one: the run proves nothing")
	assert.GreaterOrEqual(t, time.Duration(float64(*w.LostSpan)*1e9), low-pooledDelta)
	assert.LessOrEqual(t, time.Duration(float64(*w.LostSpan)*1e9), high+pooledDelta)
	assert.Zero(t, w.Phantom+w.Fabricated+w.Duplicate)
}

// synchronous makes commits wait for the standby.
func (l *lab) synchronous(level string) {
	l.t.Helper()
	l.pair.First.Exec("ALTER SYSTEM SET synchronous_standby_names = '" + `"` + l.pair.Second.Name + `"` + "'")
	l.pair.First.Exec("ALTER SYSTEM SET synchronous_commit = '" + level + "'")
	l.pair.First.Exec("SELECT pg_reload_conf()")
}

// TestTruthCostOfSynchronousReplication prints what waiting for a replica costs, on one pair in one run. No
// acknowledgement may come before the replica can have heard of the write.
func TestTruthCostOfSynchronousReplication(t *testing.T) {
	for _, delay := range []time.Duration{0, 20 * time.Millisecond} {
		l := newLab(t)
		l.pair.Stream.Delay(delay)
		target := l.target()
		l.open(target)
		r := record(t, target)
		for _, level := range []string{"local", "on", "remote_apply"} {
			l.synchronous(level)
			time.Sleep(500 * time.Millisecond)
			from := r.clock.Now()
			time.Sleep(3 * time.Second)
			to := r.clock.Now()
			time.Sleep(200 * time.Millisecond)
			var took []time.Duration
			for _, s := range r.of("orders", from, to) {
				if s.Outcome == drill.OutcomeOK {
					took = append(took, s.Done.Sub(s.Sent))
				}
			}
			slices.Sort(took)
			require.Greater(t, len(took), 100)
			name := map[string]string{"local": "asynchronous"}[level]
			if name == "" {
				name = "synchronous_commit = " + level
			}
			t.Logf("stream late by %v, %s: %d writes, p50 %v, p99 %v", delay, name, len(took),
				took[len(took)/2].Round(10*time.Microsecond), took[len(took)*99/100].Round(10*time.Microsecond))
			if level == "remote_apply" {
				assert.Greater(t, took[0], delay, "acknowledged before the replica could know")
			}
		}
		r.stop()
		require.NoError(t, target.Close(t.Context()))
	}
}

// TestTruthTwoPrimaries: two members are writable for X seconds, by the kernel's clock.
func TestTruthTwoPrimaries(t *testing.T) {
	for _, x := range []time.Duration{300, 700, 1500, 5000} {
		t.Run(fmt.Sprint(x*time.Millisecond), func(t *testing.T) { twoPrimaries(t, x*time.Millisecond, 50) })
	}
}

func TestTruthClassification(t *testing.T) { classify(t, 15*time.Second) }

// TestTruthBlackHoledReplication is the black hole of a minute in which the exporters' query goes on saying 0.
func TestTruthBlackHoledReplication(t *testing.T) { blackHole(t, 60*time.Second, 50) }
