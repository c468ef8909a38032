package targets

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

func fresh10(s *postgresqlSpec) { s.FreshRate = 10 }

// sessions is how many sessions the server says that its clients' database has had.
func (l *lab) sessions() int {
	l.t.Helper()
	rows := l.pair.First.Query("postgres", "SELECT coalesce(sum(sessions), 0) FROM pg_stat_database WHERE datname = 'orders'")
	n, err := strconv.Atoi(rows[0][0])
	require.NoError(l.t, err)
	return n
}

// TestFreshLogsInEverySlot: each slot is a session of its own, its write is in the ledger, and nothing stays open.
func TestFreshLogsInEverySlot(t *testing.T) {
	l := newLab(t)
	target := l.target(fresh10)
	l.open(target)
	info := target.Probes()[1].Info()
	assert.Equal(t, "orders/fresh", info.Name)
	assert.Equal(t, drill.ClassFresh, info.Class)
	assert.Equal(t, 100*time.Millisecond, info.Interval)

	before := l.sessions()
	r := record(t, target)
	time.Sleep(2 * time.Second)
	r.stop()
	slots := sent(t, r.of("orders/fresh", 0, 0))
	for _, s := range slots {
		assert.Equal(t, drill.OutcomeOK, s.Outcome, s.Signal)
		assert.True(t, s.Write)
		assert.Equal(t, "orders-0", s.By)
		assert.Equal(t, drill.RolePrimary, s.Role)
	}
	assert.Eventually(t, func() bool { return l.sessions()-before >= len(slots) }, 5*time.Second, 100*time.Millisecond,
		"the server counts a session for each slot")
	open := l.pair.First.Query("postgres", "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'drill'")
	n, err := strconv.Atoi(open[0][0])
	require.NoError(t, err)
	assert.LessOrEqual(t, n, maxIdle+2, "the pooled and the pinned sessions alone")

	rb, err := target.ReadBack(t.Context())
	require.NoError(t, err)
	assert.True(t, rb.Complete)
	for _, m := range []string{"orders-0", "orders-1"} {
		assert.Equal(t, acked(slots), numbers(rb.Streams[m]["orders/fresh"]))
		assert.Equal(t, acked(r.of("orders", 0, 0)), numbers(rb.Streams[m]["orders"]), "the streams stay apart")
	}
}

// TestFreshAcrossAFailover: it needs no broken session to find the new primary.
func TestFreshAcrossAFailover(t *testing.T) {
	l := newLab(t)
	target := l.target(fresh10)
	l.open(target)
	r := record(t, target)
	time.Sleep(time.Second)
	killed := r.clock.Now()
	l.pair.First.Kill()
	time.Sleep(500 * time.Millisecond)
	l.pair.FailOver()
	promoted := r.clock.Now()
	l.lead(l.pair.Second, l.pair.First, "uid-1", "uid-0")
	time.Sleep(time.Second)
	r.stop()
	assert.Empty(t, acked(r.of("orders/fresh", killed.Add(100*time.Millisecond), killed.Add(400*time.Millisecond))))
	for _, s := range r.of("orders/fresh", killed.Add(100*time.Millisecond), killed.Add(400*time.Millisecond)) {
		assert.Equal(t, drill.OutcomeFail, s.Outcome, "a login that failed wrote nothing: %s", s.Signal)
	}
	for _, s := range sent(t, r.of("orders/fresh", promoted.Add(300*time.Millisecond), 0)) {
		assert.Equal(t, drill.OutcomeOK, s.Outcome, s.Signal)
		assert.Equal(t, "orders-1", s.By)
		assert.EqualValues(t, 2, s.Epoch)
	}
}

func TestFreshRate(t *testing.T) {
	l := newLab(t)
	target := l.target(func(s *postgresqlSpec) { s.WriteRate, s.FreshRate = 50, 50 })
	_, err := target.Open(t.Context())
	var refusal *drill.Refusal
	require.ErrorAs(t, err, &refusal)
	assert.Equal(t, "too_few_connections", refusal.Code)
	assert.Contains(t, refusal.Text, "write_rate = 50 and fresh_rate = 50")
	assert.Contains(t, refusal.Text, "may need 103")

	none := l.target()
	l.open(none)
	assert.Len(t, none.Probes(), 3, "0 switches it off")
}

// TestUpWithin: writes are held to what the block says. Logins, whose slots are further apart, cannot be held to less than
// two of their own intervals.
func TestUpWithin(t *testing.T) {
	for _, c := range []struct {
		given, freshRate int // ms, Hz
		pooled, fresh    time.Duration
	}{
		{0, 10, 0, 0},
		{40, 10, 40 * time.Millisecond, 200 * time.Millisecond},
		{40, 50, 40 * time.Millisecond, 40 * time.Millisecond},
		{300, 10, 300 * time.Millisecond, 300 * time.Millisecond},
	} {
		p := &postgreSQL{name: "orders", spec: postgresqlSpec{WriteRate: 50, FreshRate: c.freshRate, UpWithin: time.Duration(c.given) * time.Millisecond}}
		assert.Equal(t, c.pooled, (&writer{t: p}).Info().UpWithin)
		assert.Equal(t, c.fresh, (&fresh{t: p}).Info().UpWithin)
	}
}
