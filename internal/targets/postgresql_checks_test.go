package targets

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/measure"
	"github.com/failoverdrill/drill/test/postgres"
)

// allChecks asks for the probes of every invariant.
func allChecks() []drill.Check {
	return []drill.Check{drill.CheckReads, drill.CheckOwn, drill.CheckSum, drill.CheckRegister}
}

// checked makes a target whose drill asks for invariants.
func (l *lab) checked(checks []drill.Check, change ...func(*postgresqlSpec)) *postgreSQL {
	target := l.target(change...)
	target.Checks, target.tables.checks = checks, checks
	return target
}

// judged are the invariants of what was recorded, by the report; the fault is at a moment of the recorder's clock.
func (r *recorder) judged(t *testing.T, target *postgreSQL, fault drill.Offset) (drill.InvariantsReport, []drill.Finding) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var events []drill.Event
	for _, p := range target.Probes() {
		events = append(events, drill.Event{Type: drill.EventProbe, Probe: new(p.Info())})
	}
	events = append(events, drill.Event{Type: drill.EventStep, Step: drill.StepSteady}, drill.Event{At: fault, Type: drill.EventFault,
		Fault: &drill.FaultChange{Kind: "kill_primary", Name: "orders", State: drill.FaultInjected, From: fault}},
		drill.Event{At: r.clock.Now(), Type: drill.EventSamples, Samples: r.samples})
	rep := measure.Report(drill.Recording{Events: slices.Values(events)})
	require.NotNil(t, rep.Invariants)
	for _, f := range rep.Findings {
		t.Logf("%s: %s", f.Code, f.Text)
	}
	i := *rep.Invariants
	t.Logf("checked %v; reads out %v; staleness %v", i.Checked, i.ReadOutage, i.Staleness)
	return i, rep.Findings
}

func violated(t *testing.T, i drill.InvariantsReport) map[string]int {
	t.Helper()
	n := map[string]int{}
	for name, v := range map[string]*int{"monotonic": i.MonotonicReads, "own": i.ReadYourWrites, "sum": i.Sum, "register": i.Register} {
		require.NotNil(t, v, "%s was decided", name)
		if *v > 0 {
			n[name] = *v
		}
	}
	return n
}

// TestChecksInASafeFailover holds a pair that replicates synchronously to every invariant, through a failover.
func TestChecksInASafeFailover(t *testing.T) {
	l := newLab(t)
	l.pair.First.Exec("ALTER SYSTEM SET synchronous_standby_names = '*'")
	l.pair.First.Exec("ALTER SYSTEM SET synchronous_commit = 'remote_apply'")
	l.pair.First.Exec("SELECT pg_reload_conf()")
	time.Sleep(200 * time.Millisecond)
	target := l.checked(allChecks())
	l.open(target)
	r := record(t, target)
	time.Sleep(2 * time.Second)
	killed := r.clock.Now()
	l.pair.First.Kill()
	time.Sleep(time.Second)
	l.pair.FailOver()
	l.lead(l.pair.Second, l.pair.First, "uid-1", "uid-0")
	time.Sleep(2 * time.Second)
	r.stop()

	i, _ := r.judged(t, target, killed)
	assert.Empty(t, violated(t, i))
	if i.ReadOutage != nil { // else this machine was too busy to tell
		assert.Equal(t, drill.Bounds{}, *i.ReadOutage, "the replica answers reads all the time")
	}
	assert.Less(t, i.Staleness.Upper, drill.Seconds(1))
	for check, least := range map[drill.Check]int{drill.CheckReads: 10, drill.CheckOwn: 2, drill.CheckSum: 2, drill.CheckRegister: 10} {
		assert.Greater(t, i.Checked[check], least, check)
	}
	var done []drill.Sample
	for _, s := range r.of("orders/reads", 0, 0) {
		if s.Outcome == drill.OutcomeOK {
			done = append(done, s)
		}
	}
	first, last := done[0], done[len(done)-1]
	assert.Equal(t, "orders-0", first.By)
	assert.Equal(t, drill.RolePrimary, first.Role)
	assert.EqualValues(t, 1, first.Epoch)
	assert.Equal(t, "orders-1", last.By)
	assert.EqualValues(t, 2, last.Epoch)
	assert.NotZero(t, first.Op.Session)
	acks := acked(r.of("orders", 0, 0))
	top := last.Op.Got[len(last.Op.Got)-1]
	assert.InDelta(t, acks[len(acks)-1], top, 10, "the last read shows the last writes")

	rb, err := target.ReadBack(t.Context())
	require.NoError(t, err)
	for name := range rb.Streams["orders-1"] {
		assert.Contains(t, []string{"orders", "orders/orders-0", "orders/orders-1"}, name, "only the ledger's streams are read back")
	}
	l.pair.Rejoin()
	require.NoError(t, target.Close(t.Context()))
	assert.Empty(t, l.pair.Second.Query(postgres.Database, "SELECT nspname FROM pg_namespace WHERE nspname = 'failoverdrill'"), "nothing is left")
}

// TestChecksInALossyFailover lets a failover lose what had been acknowledged, and sees who notices.
func TestChecksInALossyFailover(t *testing.T) {
	l := newLab(t)
	target := l.checked(allChecks())
	l.open(target)
	r := record(t, target)
	time.Sleep(2 * time.Second)
	l.pair.Stream.Delay(500 * time.Millisecond)
	time.Sleep(2 * time.Second)
	killed := r.clock.Now()
	l.pair.Stream.Cut()
	l.pair.First.Kill()
	l.pair.FailOver()
	l.lead(l.pair.Second, l.pair.First, "uid-1", "uid-0")
	time.Sleep(2 * time.Second)
	l.pair.Stream.Delay(0)
	l.pair.Rejoin() // the same member, without what it had shown
	time.Sleep(1500 * time.Millisecond)
	r.stop()

	i, found := r.judged(t, target, killed)
	n := violated(t, i)
	t.Log(n)
	assert.Positive(t, n["register"], "a register lost an acknowledged write")
	assert.Positive(t, n["own"], "a client lost a write of its own")
	assert.Positive(t, n["monotonic"], "who reads from orders-0 has been shown what it does not have any more")
	assert.Zero(t, n["sum"], "each transfer was lost as a whole")
	assert.InDelta(t, 0.5, float64(i.Staleness.Upper), 0.4, "the replica was half a second behind, and what is lost has no age")
	for _, code := range []string{"register_not_linearizable", "own_write_missing", "read_went_back"} {
		assert.True(t, slices.ContainsFunc(found, func(f drill.Finding) bool { return f.Code == code }), code)
	}
	require.NoError(t, target.Close(t.Context()))
}

// TestReadServiceThatSwitches reads through a Service that leads to the primary and then to a replica that is behind.
func TestReadServiceThatSwitches(t *testing.T) {
	l := newLab(t)
	service := postgres.NewRelay(t, net.JoinHostPort("127.0.0.5", strconv.Itoa(l.pair.Port)))
	service.Route(l.pair.First.Address())
	target := l.checked([]drill.Check{drill.CheckReads}, func(s *postgresqlSpec) { s.ReadService = "127.0.0.5" })
	l.open(target)
	require.Len(t, target.checks, 1)
	r := record(t, target)
	time.Sleep(time.Second)
	l.pair.Second.PauseReplay()
	time.Sleep(1500 * time.Millisecond)
	switched := r.clock.Now()
	service.Route(l.pair.Second.Address())
	service.Cut()
	time.Sleep(500 * time.Millisecond)
	stuck := r.clock.Now()
	l.pair.Second.ResumeReplay()
	time.Sleep(500 * time.Millisecond)
	away := r.clock.Now()
	service.Route("")
	service.Cut()
	time.Sleep(time.Second)
	back := r.clock.Now()
	service.Route(l.pair.Second.Address())
	time.Sleep(700 * time.Millisecond)
	r.stop()

	i, _ := r.judged(t, target, switched)
	assert.Positive(t, *i.MonotonicReads)
	assert.Nil(t, i.Sum, "nobody asked for it")
	require.NotNil(t, i.ReadOutage)
	truth := stuck.Sub(switched) + 1500*time.Millisecond
	assert.InDelta(t, truth.Seconds(), float64(i.Staleness.Upper), 0.4, "as long as the replica had not replayed")
	// On a busy machine a login takes longer than an answer may: bounds are held to the truth in virtual time.
	assert.InDelta(t, back.Sub(away).Seconds(), float64(i.ReadOutage.Lower), 0.5)
	assert.InDelta(t, back.Sub(away).Seconds(), float64(i.ReadOutage.Upper), 0.8)
	assert.GreaterOrEqual(t, float64(i.ReadOutage.Upper), back.Sub(away).Seconds())
	require.NoError(t, target.Close(t.Context()))
}

// TestChecksAreNoBurden holds the checks to cost nothing when nobody asks, and to leave the replicas' logs clean.
func TestChecksAreNoBurden(t *testing.T) {
	l := newLab(t)
	plain := l.target()
	l.open(plain)
	assert.Equal(t, [][]string{{"2"}}, l.pair.First.Query(postgres.Database,
		"SELECT count(*) FROM pg_proc WHERE pronamespace = 'failoverdrill'::regnamespace"), "no function of the checks")
	assert.Empty(t, plain.checks)
	assert.Zero(t, plain.checkClients())

	target := l.checked(allChecks())
	target.tables.run = "another"
	l.open(target)
	require.NoError(t, plain.Close(t.Context()), "one run does not take away what another uses")
	r := record(t, target)
	time.Sleep(2 * time.Second)
	most, _ := strconv.Atoi(l.pair.First.Query("postgres", "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'")[0][0])
	r.stop()
	i, _ := r.judged(t, target, drill.Offset(time.Second))
	assert.Empty(t, violated(t, i))
	assert.LessOrEqual(t, most, target.checkClients()+target.sessions()+5)
	for _, p := range []string{"reads", "own", "sum", "register"} {
		samples := sent(t, r.of("orders/"+p, 0, 0))
		t.Logf("%-9s %v", p, count(samples))
		for _, s := range samples {
			assert.False(t, s.Write, "it is no write of the ledger's")
			assert.NotNil(t, s.Op)
			assert.NotEqual(t, drill.SignalError, s.Signal, "%+v", s)
		}
	}
	took := l.pair.First.Query(postgres.Database, "EXPLAIN (ANALYZE, TIMING OFF) SELECT * FROM failoverdrill.read_1('another', 'orders', -1, 1000)")
	t.Log("a read of the newest writes: ", took[len(took)-1][0])
	require.NoError(t, target.Close(t.Context()))
	assert.Empty(t, l.pair.First.Query(postgres.Database, "SELECT nspname FROM pg_namespace WHERE nspname = 'failoverdrill'"))
	assert.NotContains(t, l.pair.Second.Log(), "ERROR", "the replica's log stays clean")
	for line := range strings.Lines(l.pair.First.Log()) {
		assert.NotContains(t, line, "ERROR")
	}
}
