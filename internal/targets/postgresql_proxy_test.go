package targets

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/test/postgres"
)

// TestClassificationBehindAProxy: a proxy drops requests and replies at random, and waits for a synchronous replica are
// cancelled. What drill says of each write is what the proxy did to it and what the server holds.
func TestClassificationBehindAProxy(t *testing.T) {
	t.Parallel()
	classify(t, 4*time.Second)
}

func classify(t *testing.T, length time.Duration) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	l := newLab(t)
	proxy, dsn := l.pair.Proxy(rand.New(rand.NewPCG(seed, seed)), 0.3)
	target := l.target(fresh10, func(s *postgresqlSpec) { s.WriteRate, s.FreshRate = 60, 15 })
	l.dsn = l.pair.DSN()
	members := l.open(target)
	l.behind(target, dsn)

	r := record(t, target)
	time.Sleep(length)
	every := func(count func(postgres.Write) string, n int) func() bool {
		return func() bool {
			met := map[string]bool{}
			for _, w := range proxy.Writes() {
				met[count(w)] = true
			}
			return len(met) >= n
		}
	}
	// A busy machine takes longer to meet everything once.
	require.Eventually(t, every(func(w postgres.Write) string { return string(w.Fate) }, 6), 30*time.Second, 100*time.Millisecond)
	l.cancelWaits(length/2, every(func(w postgres.Write) string { return strconv.FormatBool(w.Warned && w.Answered) }, 2))
	time.Sleep(length / 4)
	r.stop()
	back, err := target.ReadBack(t.Context())
	require.NoError(t, err)
	rep := r.report(t, members, target.Probes(), postgres.Moment{}, &back)

	held := map[string]map[string]bool{}
	for _, row := range l.pair.First.Query(postgres.Database, "SELECT stream, seq FROM failoverdrill.ledger") {
		if held[row[0]] == nil {
			held[row[0]] = map[string]bool{}
		}
		held[row[0]][row[1]] = true
	}
	met := map[string]int{}
	var present, absent int
	for _, probe := range []string{"orders", "orders/fresh"} {
		p, a := compare(t, probe, proxy.Writes(), r.outcomes(probe), held[probe], met)
		present, absent = present+p, absent+a
	}
	t.Logf("fates and outcomes: %v", met)
	w := rep.Writes
	pooled, fresh := w.ByClass[drill.ClassPooled], w.ByClass[drill.ClassFresh] // those that went through the proxy
	assert.Equal(t, present, pooled.IndeterminatePresent+fresh.IndeterminatePresent)
	assert.Equal(t, absent, pooled.IndeterminateAbsent+fresh.IndeterminateAbsent)
	assert.Zero(t, *w.Lost, "nobody failed over")
	assert.Zero(t, w.Phantom+w.Fabricated+w.Duplicate)
	assert.Equal(t, w.Sent, w.Acked+w.Failed+w.IndeterminatePresent+w.IndeterminateAbsent)
}

// behind lets the pooled and the fresh probe go through the proxy from now on; pinned sessions go to the members.
func (l *lab) behind(target *postgreSQL, dsn string) {
	l.t.Helper()
	d, err := newDialer(dsn, "")
	require.NoError(l.t, err)
	old := target.dial
	target.dial.mu.Lock()
	old.config.Host, old.config.Port = d.config.Host, d.config.Port
	target.dial.mu.Unlock()
	target.pool.close()
	target.pool = &pool{dial: target.dial.service}
}

// cancelWaits lets commits wait for a replica that is not there, and cancels them long before drill would.
func (l *lab) cancelWaits(length time.Duration, enough func() bool) {
	l.t.Helper()
	l.pair.First.Exec("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
	l.pair.First.Exec("SELECT pg_reload_conf()")
	began := time.Now()
	for ; time.Since(began) < length || !enough(); time.Sleep(20 * time.Millisecond) {
		require.Less(l.t, time.Since(began), 30*time.Second, "no wait was cancelled")
		l.pair.First.Query("postgres", `SELECT pg_cancel_backend(pid) FROM pg_stat_activity
			WHERE wait_event = 'SyncRep' AND now() - query_start > interval '100 ms'`)
	}
	l.pair.First.Exec("ALTER SYSTEM RESET synchronous_standby_names")
	l.pair.First.Exec("SELECT pg_reload_conf()")
}

// compare holds the slots of one probe against the proxy's log and the server's rows. It counts the writes in doubt
// that are there and that are not, by the log and the rows alone.
func compare(t *testing.T, probe string, log []postgres.Write, slots map[int64]drill.Sample, held map[string]bool, met map[string]int) (present, absent int) {
	t.Helper()
	seen := map[int64]postgres.Write{}
	for _, w := range log {
		if w.Stream == probe {
			require.NotContains(t, seen, w.Seq, "%s %d was sent twice", probe, w.Seq)
			require.Contains(t, slots, w.Seq, "the proxy saw a write that drill has no slot of")
			seen[w.Seq] = w
		}
	}
	for seq, s := range slots {
		w, logged := seen[seq]
		there := held[strconv.FormatInt(seq, 10)]
		what := []any{"%s %d: drill says %s %s, the proxy %+v, present %v", probe, seq, s.Outcome, s.Signal, w, there}
		switch {
		case !logged: // a connection that was refused, or one that was closed while it rested
			met["never came"]++
			assert.False(t, there, what...)
			assert.Contains(t, []drill.Outcome{drill.OutcomeFail, drill.OutcomeIndeterminate}, s.Outcome, what...)
			if s.Outcome == drill.OutcomeIndeterminate {
				absent++
			}
			continue
		case w.Answered && w.Error != "":
			met["error "+w.Error]++
			assert.False(t, there, what...)
			assert.Equal(t, drill.OutcomeFail, s.Outcome, what...)
			continue
		case w.Answered && s.Signal == drill.SignalTimeout && s.Done.Sub(s.Scheduled) >= pooledDeadline:
			met["answered when drill gave it up"]++ // the answer lay unread in this process
			assert.True(t, there, what...)
		case w.Answered && !w.Warned:
			met[string(postgres.Pass)]++
			assert.True(t, there, what...)
			assert.Equal(t, drill.OutcomeOK, s.Outcome, what...)
			continue
		case w.Answered:
			met["warned"]++
			assert.True(t, there, what...)
		default:
			met[string(w.Fate)]++
			if w.Fate == postgres.DropRequest || w.Fate == postgres.CutRequest {
				assert.False(t, there, what...)
			} else if w.Error == "" {
				assert.True(t, there, what...)
			}
		}
		assert.Equal(t, drill.OutcomeIndeterminate, s.Outcome, what...)
		if there {
			present++
		} else {
			absent++
		}
	}
	return present, absent
}
