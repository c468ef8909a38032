package targets

import (
	"context"
	"fmt"
	"runtime"
	"runtime/metrics"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/test/postgres"
)

// grow puts rows from..to into the ledger as if the pooled probe had written them; every skip-th is missing.
func (l *lab) grow(target *postgreSQL, from, to, skip int) {
	l.t.Helper()
	const atOnce = 100_000
	for ; from <= to; from += atOnce {
		l.pair.First.Query(postgres.Database, fmt.Sprintf(`INSERT INTO failoverdrill.ledger (run, stream, seq)
			SELECT '%s', 'orders', n FROM generate_series(%d, %d) n WHERE n %% %d <> 0`, target.tables.run, from, min(to, from+atOnce-1), skip))
	}
}

// shows waits until the replica shows so many rows beside the marker.
func (l *lab) shows(rows int) {
	l.t.Helper()
	want := strconv.Itoa(rows + 1)
	require.Eventually(l.t, func() bool {
		return l.pair.Second.Query(postgres.Database, "SELECT count(*) FROM failoverdrill.ledger")[0][0] == want
	}, time.Minute, 50*time.Millisecond)
}

// TestMemberThatComesBackToALongLedger: its first answer holds every write, or it would seem to lag for as long as it
// takes to ask for the rest.
func TestMemberThatComesBackToALongLedger(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	target := l.target()
	l.open(target)
	const rows = 2*maxSeen + 7
	l.grow(target, 1, rows, rows+1)
	l.shows(rows)
	for _, p := range target.pinned {
		s := drill.Sample{Probe: p.Info().Name, Slot: 1}
		p.Sample(t.Context(), &s)
		require.Equal(t, drill.OutcomeOK, s.Outcome, s.Signal)
		assert.Len(t, s.Reading.Seen, rows, p.member)
	}
	require.NoError(t, target.Close(t.Context()))
}

// TestReplicaThatHoldsLessThanItSays: it has replayed everything, and a row is gone. The read-back is complete, so that
// the report can say so.
func TestReplicaThatHoldsLessThanItSays(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	target := l.target()
	l.open(target)
	l.grow(target, 0, 99, 101)
	all, primary, err := target.present(t.Context())
	require.NoError(t, err)
	defer hangUp(all)
	held, head, err := target.tables.all(t.Context(), all[primary].sess)
	require.NoError(t, err)
	n := held["orders"]
	n.Add(777) // which the replica cannot hold
	held["orders"] = n
	streams, caught := target.catchUp(t.Context(), all[1-primary], held, head)
	assert.True(t, caught)
	assert.False(t, streams["orders"].Has(777))
	assert.True(t, streams["orders"].Has(99))

	l.pair.Second.PauseReplay()
	l.grow(target, 100, 200, 2) // of which the replica shows none
	_, head, err = target.tables.all(t.Context(), all[primary].sess)
	require.NoError(t, err)
	brief, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, caught = target.catchUp(brief, all[1-primary], held, head)
	assert.False(t, caught, "it has not replayed them")
	l.pair.Second.ResumeReplay()
	require.NoError(t, target.Close(t.Context()))
}

// TestReadBackMemory: a ledger of many rows is read in little memory, even if it has many holes. The benchmark does the
// same with ten million.
func TestReadBackMemory(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	target := l.target()
	l.open(target)
	const rows = 300_000
	l.grow(target, 1, rows, 10)
	l.shows(rows * 9 / 10)
	peak := peakMemory(func() {
		back, err := target.ReadBack(t.Context())
		require.NoError(t, err)
		require.True(t, back.Complete)
		for _, m := range []string{"orders-0", "orders-1"} {
			assert.Equal(t, rows*9/10, back.Streams[m]["orders"].Count())
		}
	})
	t.Logf("%d rows with %d holes from two members: %d KiB", rows, rows/10, peak>>10)
	assert.Less(t, peak, uint64(16<<20), "a list of numbers alone would take this much")
	require.NoError(t, target.Close(t.Context()))
}

// BenchmarkReadBack reads ten million rows from both members; of each ten numbers one is missing.
func BenchmarkReadBack(b *testing.B) {
	const numbers = 11_000_000
	l := newLab(b)
	target := l.target()
	l.open(target)
	l.grow(target, 1, numbers, 11)
	l.shows(numbers / 11 * 10)
	var peak uint64
	for b.Loop() {
		peak = max(peak, peakMemory(func() {
			back, err := target.ReadBack(b.Context())
			require.NoError(b, err)
			require.True(b, back.Complete)
			require.Equal(b, numbers/11*10, back.Streams["orders-1"]["orders"].Count())
		}))
	}
	b.ReportMetric(float64(peak)/(1<<20), "MiB-peak")
	b.ReportMetric(float64(numbers/11*10), "rows")
}

// peakMemory is how much the heap grew at most while a function ran.
func peakMemory(do func()) uint64 {
	heap := func() uint64 {
		s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}}
		metrics.Read(s)
		return s[0].Value.Uint64() + s[1].Value.Uint64()
	}
	runtime.GC()
	before := heap()
	var peak uint64
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			peak = max(peak, heap())
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	do()
	close(done)
	wg.Wait()
	return peak - min(before, peak)
}
