package targets

import (
	"context"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/measure"
	"github.com/failoverdrill/drill/test/postgres"
)

// TestBlackHoledReplication writes slowly, because other tests use the machine too. TestTruthBlackHoledReplication is exact.
func TestBlackHoledReplication(t *testing.T) { blackHole(t, 3*time.Second, 5) }

// blackHole lets nothing of the stream pass for a while in which an application and drill go on writing. The exporters'
// query says 0 all the time; drill must say how long it was, and refuse a fault meanwhile.
func blackHole(t *testing.T, length time.Duration, rate int) {
	t.Helper()
	l := newLab(t)
	l.application()
	target := l.target(func(s *postgresqlSpec) { s.WriteRate = rate })
	members := l.open(target)
	r := record(t, target)
	time.Sleep(1500 * time.Millisecond)
	frozen := l.pair.Stream.Freeze()

	if length > 2*showTimeout { // a drill that is started meanwhile
		time.Sleep(time.Until(frozen.After.Add(length - showTimeout - time.Second)))
		another := l.target()
		another.tables.run = "another"
		_, err := another.Open(t.Context())
		behind := time.Since(frozen.Before)
		var refused *drill.Refusal
		require.ErrorAs(t, err, &refused)
		t.Log(err)
		assert.Equal(t, "replica_behind", refused.Code)
		said := regexp.MustCompile(`orders-1 .* it is (\d+\.\d) s behind, .*; your dashboard's query says 0\.0 s`).FindStringSubmatch(err.Error())
		require.Len(t, said, 2, "%v", err)
		n, err := strconv.ParseFloat(said[1], 64)
		require.NoError(t, err)
		assert.InDelta(t, behind.Seconds(), n, 0.2)
		require.NoError(t, another.Close(t.Context()))
	}
	time.Sleep(time.Until(frozen.After.Add(length)))

	standard := l.pair.Second.Query(postgres.Database, "SELECT "+exporterLagSQL)
	live := measure.NewLive(drill.Settings{Window: time.Second, RedundancyLag: 1})
	for e := range r.recording(members, target.Probes(), postgres.Moment{}, nil).Events {
		live.Event(e)
		for _, s := range e.Samples {
			live.Sample(s)
		}
	}
	steady, why := live.Steady("orders", r.clock.Now())
	thawed := l.pair.Stream.Thaw()
	time.Sleep(time.Second)
	r.stop()
	back, err := target.ReadBack(t.Context())
	require.NoError(t, err)

	assert.Equal(t, "0", standard[0][0], "the exporters' query")
	assert.False(t, steady)
	assert.Regexp(t, `^orders-1 is [\d.]+ s behind; your dashboard's query says 0 s; the limit is 1 s$`, why)
	rep := r.report(t, members, target.Probes(), frozen, &back)
	vouched(t, rep)
	least, atMost := thawed.Since(frozen)
	lag := rep.ReplicationLag
	require.NotNil(t, lag.Peak)
	require.NotEmpty(t, rep.Findings)
	t.Logf("black-holed for %v to %v: the exporters' query said %s, drill %v to %v s; %q; %q; stale writes %+v",
		least, atMost, standard[0][0], lag.Peak.Lower, lag.Peak.Upper, why, rep.Findings[0].Text, rep.Writes.Stale["orders-1"])
	within := 0.2
	if rate < 50 {
		within += 1 / float64(rate) // the oldest write that is not shown may be a slot younger than the black hole
	}
	assert.GreaterOrEqual(t, float64(lag.Peak.Lower), least.Seconds()-within)
	assert.LessOrEqual(t, float64(lag.Peak.Upper), atMost.Seconds()+within)
	assert.InDelta(t, least.Seconds(), float64(*lag.EngineDisagreement), within)
	assert.Equal(t, "lag_metric_lies", rep.Findings[0].Code)

	// Every write of that time was late on the replica, the first one by all of it.
	stale := rep.Writes.Stale["orders-1"]
	assert.GreaterOrEqual(t, stale.Writes, int(length.Seconds()*float64(rate)*0.8))
	require.NotNil(t, stale.Max)
	assert.LessOrEqual(t, float64(stale.Max.Lower), atMost.Seconds()+0.02, "it was shown as soon as the stream went on")
	assert.GreaterOrEqual(t, float64(stale.Max.Upper), least.Seconds()-1/float64(rate), "and acknowledged within a slot of its end")
}

// application writes on the primary all the time, into a table of its own.
func (l *lab) application() {
	l.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	conn, err := pgconn.Connect(ctx, l.dsn)
	require.NoError(l.t, err)
	_, err = conn.Exec(ctx, "CREATE TABLE bought (at timestamptz)").ReadAll()
	require.NoError(l.t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			_, _ = conn.Exec(ctx, "INSERT INTO bought VALUES (now())").ReadAll()
			pause(ctx, 20*time.Millisecond)
		}
	})
	l.t.Cleanup(func() { cancel(); wg.Wait(); _ = conn.Close(context.Background()) })
}
