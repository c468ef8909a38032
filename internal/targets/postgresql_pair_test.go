package targets

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/test/postgres"
)

func TestQuietPair(t *testing.T) {
	l := newLab(t)
	target := l.target()
	members := l.open(target)
	require.Len(t, members, 2)
	assert.Equal(t, drill.Member{
		Namespace: "shop", Name: "orders-0", UID: "uid-0", IP: "127.0.0.1", Role: drill.RolePrimary, Epoch: 1,
	}, members[0])
	assert.Equal(t, drill.RoleReplica, members[1].Role)
	assert.EqualValues(t, 1, members[1].Epoch)

	r := record(t, target)
	time.Sleep(2 * time.Second)
	r.stop()

	pooled := sent(t, r.of("orders", 0, 0))
	t.Logf("pooled: %v; last: %+v", count(pooled), pooled[len(pooled)-1])
	for _, s := range pooled {
		assert.Equal(t, drill.OutcomeOK, s.Outcome)
		assert.Equal(t, "orders-0", s.By)
		assert.Equal(t, drill.RolePrimary, s.Role)
		assert.EqualValues(t, 1, s.Epoch)
		assert.True(t, s.Write)
	}
	first, second := sent(t, r.of("orders/orders-0", 0, 0)), sent(t, r.of("orders/orders-1", 0, 0))
	for i := range first {
		assert.Equal(t, "ok", string(first[i].Outcome))
		assert.True(t, first[i].Write)
		assert.Equal(t, "uid-0", first[i].Reading.UID)
		assert.Zero(t, first[i].Reading.EngineLag)
	}
	for _, s := range second {
		assert.Equal(t, drill.OutcomeOK, s.Outcome)
		assert.Equal(t, drill.RoleReplica, s.Role)
		assert.False(t, s.Write)
		assert.True(t, s.Reading.Streaming)
		assert.EqualValues(t, 1, s.Epoch)
		assert.Less(t, s.Reading.EngineLag, 0.5)
	}
	shown := seen(second)
	assert.Equal(t, acked(pooled)[:len(shown)], shown, "each write was reported, once, and in the end nearly all")
	assert.Greater(t, len(shown), len(pooled)*3/4)
	assert.Equal(t, drill.Views{Target: "orders", Label: []string{"orders-0"}, Service: []string{"orders-0"}, Member: []string{"orders-0"}},
		r.lastViews())
	assert.Len(t, r.views, 1, "nothing changed")

	rb, err := target.ReadBack(t.Context())
	require.NoError(t, err)
	assert.True(t, rb.Complete)
	assert.Equal(t, "orders-0", rb.Primary)
	for _, m := range []string{"orders-0", "orders-1"} {
		assert.Equal(t, acked(pooled), numbers(rb.Streams[m]["orders"]))
		assert.Equal(t, acked(first), numbers(rb.Streams[m]["orders/orders-0"]))
		assert.Len(t, rb.Streams[m], 2, "a replica's probe wrote nothing")
	}

	require.NoError(t, target.Close(t.Context()))
	require.NoError(t, target.Close(t.Context()), "twice does no harm")
	assert.Empty(t, l.pair.First.Query(postgres.Database, "SELECT nspname FROM pg_namespace WHERE nspname = 'failoverdrill'"))
	assert.NotContains(t, l.pair.Second.Log(), "ERROR", "the replica's log stays clean")
	assert.NotContains(t, l.pair.First.Log(), "ERROR")
}

// sent drops the slots that were not sent; a busy machine makes a few, and this is no test of the machine.
func sent(t *testing.T, samples []drill.Sample) []drill.Sample {
	t.Helper()
	all := len(samples)
	some := slices.DeleteFunc(samples, func(s drill.Sample) bool {
		return s.Outcome == drill.OutcomeBlocked || s.Outcome == drill.OutcomeUnsent
	})
	require.GreaterOrEqual(t, len(some), max(1, all/2))
	return some
}

func TestKilledPrimary(t *testing.T) {
	l := newLab(t)
	target := l.target()
	l.open(target)
	victim, err := target.Primary(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "orders-0", victim.Name)
	assert.True(t, target.Answers(t.Context(), victim))

	const delay = 300 * time.Millisecond
	l.pair.Stream.Delay(delay)
	r := record(t, target)
	time.Sleep(1500 * time.Millisecond)
	killed := r.clock.Now()
	l.pair.Stream.Cut()
	l.pair.First.Kill()
	assert.False(t, target.Answers(t.Context(), victim))
	time.Sleep(500 * time.Millisecond)
	assert.Empty(t, r.lastViews().Member, "the dead member's word has run out")
	_, err = target.Primary(t.Context())
	require.ErrorContains(t, err, "no member of target \"orders\" says that it is the primary")
	l.pair.FailOver()
	promoted := r.clock.Now()
	l.lead(l.pair.Second, l.pair.First, "uid-1", "uid-0")
	time.Sleep(time.Second)
	r.stop()

	down := sent(t, r.of("orders", killed.Add(100*time.Millisecond), killed.Add(500*time.Millisecond)))
	after := sent(t, r.of("orders", promoted.Add(300*time.Millisecond), 0))
	t.Logf("down: %v", count(r.of("orders", killed, promoted)))
	assert.Empty(t, acked(down))
	for _, s := range after {
		assert.Equal(t, drill.OutcomeOK, s.Outcome)
		assert.Equal(t, "orders-1", s.By)
		assert.EqualValues(t, 2, s.Epoch, "the new timeline, at once")
	}
	pinned := sent(t, r.of("orders/orders-1", promoted.Add(300*time.Millisecond), 0))
	for _, s := range pinned {
		assert.Equal(t, drill.RolePrimary, s.Role)
		assert.EqualValues(t, 2, s.Epoch)
		assert.True(t, s.Write)
	}
	dead := sent(t, r.of("orders/orders-0", killed.Add(200*time.Millisecond), 0))
	assert.Equal(t, map[string]int{"fail refused": len(dead)}, count(dead))
	assert.Equal(t, drill.Views{Target: "orders", Label: []string{"orders-1"}, Service: []string{"orders-1"}, Member: []string{"orders-1"}},
		r.lastViews())

	brief, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	rb, err := target.ReadBack(brief)
	require.NoError(t, err)
	assert.False(t, rb.Complete, "one member could not be read")
	l.pair.Stream.Delay(0)
	l.pair.Rejoin()
	rb, err = target.ReadBack(t.Context())
	require.NoError(t, err)
	assert.True(t, rb.Complete)
	assert.Equal(t, "orders-1", rb.Primary)
	assert.Subset(t, numbers(rb.Streams["orders-0"]["orders"]), acked(after))
	lost := slices.DeleteFunc(acked(r.of("orders", 0, 0)), func(seq int64) bool {
		return rb.Streams["orders-1"]["orders"].Has(seq)
	})
	require.NotEmpty(t, lost)
	span := time.Duration(lost[len(lost)-1]-lost[0]) * 20 * time.Millisecond
	t.Logf("with the stream %v late, %d acknowledged writes over %v are lost", delay, len(lost), span)
	assert.InDelta(t, delay.Seconds(), span.Seconds(), 0.15, "the machine may be busy")
	assert.False(t, target.Answers(t.Context(), victim), "the same address, but not the same server")
	require.NoError(t, target.Close(t.Context()))
}

func TestReplicaThatStopsShowing(t *testing.T) {
	l := newLab(t)
	target := l.target()
	l.open(target)
	r := record(t, target)
	time.Sleep(500 * time.Millisecond)

	l.pair.Second.PauseReplay()
	paused := r.clock.Now()
	time.Sleep(1500 * time.Millisecond)
	resumed := r.clock.Now()
	l.pair.Second.ResumeReplay()
	time.Sleep(500 * time.Millisecond)

	l.pair.Stream.Freeze()
	frozen := r.clock.Now()
	time.Sleep(1500 * time.Millisecond)
	thawed := r.clock.Now()
	l.pair.Stream.Thaw()
	time.Sleep(500 * time.Millisecond)
	r.stop()

	for name, span := range map[string][2]drill.Offset{"paused": {paused, resumed}, "frozen": {frozen, thawed}} {
		from := span[0].Add(300 * time.Millisecond)
		during := r.of("orders/orders-1", from, span[1])
		require.GreaterOrEqual(t, len(during), 5)
		assert.Empty(t, seen(during), "%s: it shows nothing new", name)
		assert.Greater(t, len(acked(r.of("orders", from, span[1]))), 40, "%s: while the primary takes writes", name)
		during = sent(t, during)
		last := during[len(during)-1].Reading
		t.Logf("%s: after %v the engine says %.2f s, streaming %v", name, span[1].Sub(span[0]), last.EngineLag, last.Streaming)
	}
	froze := sent(t, r.of("orders/orders-1", frozen.Add(300*time.Millisecond), thawed))
	assert.Zero(t, froze[len(froze)-1].Reading.EngineLag, "the exporters' query sees nothing of a black hole")
	all := seen(r.of("orders/orders-1", 0, 0))
	ok := acked(r.of("orders", 0, thawed))
	assert.Subset(t, all, ok, "afterwards everything is shown")
}

func TestCancelledSynchronousWaitIsIndeterminate(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	target := l.target()
	l.open(target)
	l.pair.First.Exec("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
	l.pair.First.Exec("SELECT pg_reload_conf()")
	time.Sleep(200 * time.Millisecond)

	var wg = make(chan struct{})
	go func() {
		defer close(wg)
		for range 100 {
			time.Sleep(20 * time.Millisecond)
			got := l.pair.First.Query("postgres",
				"SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
			if len(got) > 0 {
				return
			}
		}
		t.Error("no statement waited for a synchronous replica")
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	s := drill.Sample{Probe: "orders", Slot: 7}
	target.Probes()[0].Sample(ctx, &s)
	<-wg
	assert.Equal(t, drill.OutcomeIndeterminate, s.Outcome, "it succeeded, with a warning")
	assert.Equal(t, "orders-0", s.By)

	// A slot that waits too long ends by its deadline, and its backend is not left behind.
	ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	s = drill.Sample{Probe: "orders", Slot: 8}
	target.Probes()[0].Sample(ctx, &s)
	assert.Equal(t, drill.OutcomeIndeterminate, s.Outcome)
	assert.Equal(t, drill.SignalTimeout, s.Signal)
	require.Eventually(t, func() bool {
		return len(l.pair.First.Query("postgres", "SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep'")) == 0
	}, 3*time.Second, 50*time.Millisecond)

	l.pair.First.Exec("ALTER SYSTEM RESET synchronous_standby_names")
	l.pair.First.Exec("SELECT pg_reload_conf()")
	require.NoError(t, target.Close(t.Context()))
}

func TestFrozenPrimaryBlocksItsPinnedSession(t *testing.T) {
	l := newLab(t)
	target := l.target()
	members := l.open(target)
	r := record(t, target)
	time.Sleep(500 * time.Millisecond)
	l.pair.First.Freeze()
	from := r.clock.Now()
	time.Sleep(1500 * time.Millisecond)
	assert.Empty(t, r.lastViews().Member, "a member that does not answer says nothing")
	assert.False(t, target.Answers(t.Context(), members[0]), "the kernel accepts, the server does not answer")
	l.pair.First.Thaw()
	thawed := r.clock.Now()
	time.Sleep(500 * time.Millisecond)
	assert.True(t, target.Answers(t.Context(), members[0]))
	r.stop()

	frozen := count(r.of("orders/orders-0", from.Add(200*time.Millisecond), thawed.Add(-100*time.Millisecond)))
	assert.NotZero(t, frozen["blocked"])
	delete(frozen, "unsent")
	assert.Len(t, frozen, 1, "%v", frozen)
	assert.Equal(t, []string{"orders-0"}, r.lastViews().Member)
	for _, s := range sent(t, r.of("orders/orders-0", thawed.Add(100*time.Millisecond), 0)) {
		assert.Equal(t, drill.OutcomeOK, s.Outcome, "the same session goes on")
	}
	pooled := count(r.of("orders", from, thawed))
	t.Logf("pooled while frozen: %v", pooled)
	full := 0 // a slot that found no session is given up at its turn; one that this process was too late for, later
	for _, s := range r.of("orders", from, thawed) {
		if s.Outcome == drill.OutcomeUnsent && s.Done.Sub(s.Scheduled) <= 20*time.Millisecond {
			full++
		}
	}
	assert.Zero(t, full, "slots that wait do not use up the sessions")

	// Another pod takes the member's place: the session that hangs is given up.
	l.pair.First.Freeze()
	r = record(t, target)
	time.Sleep(400 * time.Millisecond)
	l.pod(l.pair.First, "master", "uid-0b")
	require.Eventually(t, func() bool { return count(r.of("orders/orders-0", 0, 0))["indeterminate closed"] == 1 },
		2*time.Second, 20*time.Millisecond)
	l.pair.First.Thaw()
	require.Eventually(t, func() bool {
		all := r.of("orders/orders-0", 0, 0)
		last := all[len(all)-1]
		return last.Reading != nil && last.Reading.UID == "uid-0b"
	}, 3*time.Second, 20*time.Millisecond)
	r.stop()
	require.NoError(t, target.Close(t.Context()))
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	refused := func(t *testing.T, target *postgreSQL, code string, words ...string) {
		t.Helper()
		_, err := target.Open(t.Context())
		var r *drill.Refusal
		require.ErrorAs(t, err, &r, "%v", err)
		assert.Equal(t, code, r.Code)
		for _, w := range words {
			assert.Contains(t, err.Error(), w)
		}
		assert.NotContains(t, err.Error(), postgres.Password)
		t.Log(err)
		require.NoError(t, target.Close(t.Context()))
		assert.Empty(t, l.pair.First.Query(postgres.Database, "SELECT nspname FROM pg_namespace WHERE nspname = 'failoverdrill'"),
			"nothing is left")
	}
	dsn := func(s string) func(*postgresqlSpec) {
		return func(spec *postgresqlSpec) { spec.DSN = drill.Sensitive(s) }
	}

	t.Run("selector matches nothing", func(t *testing.T) {
		refused(t, l.target(func(s *postgresqlSpec) { s.Selector, _ = labels.Parse("app=oders") }),
			"no_members", `"app=oders"`, `namespace "shop"`, "kubectl get pods -n shop -l app=oders")
	})
	t.Run("no such namespace", func(t *testing.T) {
		refused(t, l.target(func(s *postgresqlSpec) { s.Namespace = "shpo" }), "no_namespace", `"shpo"`)
	})
	t.Run("secret missing", func(t *testing.T) {
		refused(t, l.target(dsn(drill.SecretRef(drill.SecretKey{Name: "nope", Key: "uri"}))), "secret_missing", `"nope"`)
	})
	t.Run("wrong password", func(t *testing.T) {
		wrong := strings.Replace(l.dsn, postgres.Password, "hunter2-hunter2", 1)
		target := l.target(dsn(wrong))
		refused(t, target, "login_failed", `"app"`, "orders-0", "password authentication failed")
		_, err := target.Open(t.Context())
		assert.NotContains(t, err.Error(), "hunter2")
	})
	t.Run("no such service", func(t *testing.T) {
		refused(t, l.target(func(s *postgresqlSpec) { s.Service = "odrers" }), "no_service", `"odrers"`)
	})
	t.Run("no role label", func(t *testing.T) {
		refused(t, l.target(func(s *postgresqlSpec) { s.Roles = preset{label: "nope"} }), "views_disagree", "says nobody")
	})
	t.Run("views disagree", func(t *testing.T) {
		l.lead(l.pair.Second, l.pair.First, "uid-1", "uid-0")
		refused(t, l.target(), "views_disagree", `label "role" says orders-1`, "leads to orders-1", "themselves say orders-0")
		l.lead(l.pair.First, l.pair.Second, "uid-0", "uid-1")
	})
	t.Run("too few connections", func(t *testing.T) {
		refused(t, l.target(func(s *postgresqlSpec) { s.WriteRate = 200 }), "too_few_connections", "write_rate = 200", "203",
			"max_connections is 100, with 3 reserved for superusers")
	})
	t.Run("role has a connection limit", func(t *testing.T) {
		l.pair.First.Exec("ALTER ROLE app CONNECTION LIMIT 10")
		refused(t, l.target(), "too_few_connections", `the CONNECTION LIMIT of role "app" is 10, with 1 in use`, "orders-0 has 9 connections left")
		l.pair.First.Exec("ALTER ROLE app CONNECTION LIMIT -1")
	})
	t.Run("database has a connection limit", func(t *testing.T) {
		l.pair.First.Exec("ALTER DATABASE orders CONNECTION LIMIT 20")
		refused(t, l.target(), "too_few_connections", `the CONNECTION LIMIT of database "orders" is 20, with 1 in use`)
		l.pair.First.Exec("ALTER DATABASE orders CONNECTION LIMIT -1")
	})
	t.Run("others use the replica's connections", func(t *testing.T) {
		for range 45 {
			conn, err := pgconn.Connect(t.Context(), fmt.Sprintf("postgres://postgres@%s/postgres?sslmode=disable", l.pair.Second.Address()))
			require.NoError(t, err)
			defer func() { _ = conn.Close(context.Background()) }()
		}
		refused(t, l.target(), "too_few_connections", "orders-1 has 51 connections left", "46 in use", "may need 53")
	})
	t.Run("no right to create", func(t *testing.T) {
		l.pair.First.Exec("CREATE ROLE guest LOGIN PASSWORD 'guest-password'")
		time.Sleep(100 * time.Millisecond)
		guest := strings.Replace(l.dsn, postgres.User+":"+postgres.Password, "guest:guest-password", 1)
		refused(t, l.target(dsn(guest)), "no_create_right", `GRANT CREATE ON DATABASE "orders" TO "guest";`)
	})
	t.Run("member is starting", func(t *testing.T) {
		_, err := l.kube.CoreV1().Pods("shop").Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "orders-2", Labels: map[string]string{"app": "orders"},
		}}, metav1.CreateOptions{})
		require.NoError(t, err)
		refused(t, l.target(), "member_not_ready", "orders-2")
		require.NoError(t, l.kube.CoreV1().Pods("shop").Delete(t.Context(), "orders-2", metav1.DeleteOptions{}))
	})
	t.Run("service leads nowhere", func(t *testing.T) {
		l.pair.Service.Route("")
		refused(t, l.target(), "service_unreachable", "127.0.0.3")
		l.pair.Service.Route(l.pair.First.Address())
	})
	t.Run("replica behind", func(t *testing.T) {
		l.pair.Second.PauseReplay()
		refused(t, l.target(), "replica_behind", "orders-1", "s behind, by the newest transaction that it shows; your dashboard's query says",
			"bytes behind", "replay is paused")
		l.pair.Second.ResumeReplay()
	})
	t.Run("two primaries", func(t *testing.T) {
		l.pair.Split()
		refused(t, l.target(), "two_primaries", "orders-0 and orders-1")
	})
}

// TestLedgerIsShared checks that one run does not take the ledger away from another.
func TestLedgerIsShared(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	one, two := l.target(), l.target()
	two.tables.run = "another"
	l.open(one)
	l.open(two)
	require.NoError(t, one.Close(t.Context()))
	s := drill.Sample{Probe: "orders", Slot: 1}
	two.Probes()[0].Sample(t.Context(), &s)
	assert.Equal(t, drill.OutcomeOK, s.Outcome)
	require.NoError(t, two.Close(t.Context()))
}
