//go:build bench

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/detail"
	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/measure"
)

// reportGoal is how long the report of an hour may take.
const reportGoal = 2 * time.Second

// TestReport takes the time from a stored log to its report, and what the log itself costs while the run goes on.
func TestReport(t *testing.T) {
	for _, targets := range []int{1, 10} {
		t.Run(fmt.Sprintf("%d targets", targets), func(t *testing.T) {
			h := newHour(targets)
			var log []drill.Event
			h.events(func(e drill.Event) { log = append(log, e) })
			raw := write(t, h, log)
			log = nil

			var found []pair
			var computing []float64
			quickest := time.Hour
			for range rounds {
				var rec drill.Recording
				var rep drill.Report
				began := time.Now()
				whole := work(t, func() {
					var err error
					rec, err = detail.Read(raw)
					require.NoError(t, err)
					rep = measure.Report(rec)
				})
				took := time.Since(began)
				quickest = min(quickest, took)
				require.Equal(t, drill.OutcomeFailedOver, rep.Recovery.Outcome)
				require.Zero(t, *rep.Writes.Lost)

				var log []drill.Event
				once := work(t, func() {
					for e := range rec.Events {
						log = append(log, e)
					}
				})
				rec.Events = slices.Values(log)
				alone := work(t, func() { profile(t, fmt.Sprintf("report-%d", targets), func() { measure.Report(rec) }) })
				t.Logf("log to report %.2f s, of processor time %.2f s; decoding once %.2f s; computing alone %.2f s",
					took.Seconds(), whole, once, alone)
				found, computing = append(found, pair{whole, once}), append(computing, alone)
			}
			whole, once := columns(found)
			results.add(row{fmt.Sprintf("report of 1 h, %d target(s), %d slots", targets, h.slots),
				fmt.Sprintf("%.2f s; CPU %.2f s, of it computing %.2f s", quickest.Seconds(), median(whole), median(computing)),
				fmt.Sprintf("decoding once, CPU %.2f s", median(once)), spread(found), met("<= 2 s", quickest <= reportGoal)})
		})
	}
}

// work is the processor time in seconds that this process takes for something.
func work(t *testing.T, do func()) float64 {
	t.Helper()
	runtime.GC() // what was there before is not its garbage
	used := processor(t, os.Getpid())
	do()
	return (processor(t, os.Getpid()) - used).Seconds()
}

// write writes a log as a run does and says what that costs.
func write(t *testing.T, h *hour, log []drill.Event) []byte {
	t.Helper()
	w := detail.NewWriter(drill.Recording{Settings: drill.Settings{Window: 10 * time.Second, ImpactTimeout: time.Minute, RedundancyLag: 1}})
	var raw []byte
	used := work(t, func() {
		profile(t, fmt.Sprintf("write-%d", h.targets), func() {
			for _, e := range log {
				w.Append(e)
			}
		})
		raw = w.Bytes()
	})
	results.add(row{fmt.Sprintf("detail of 1 h, %d target(s)", h.targets),
		fmt.Sprintf("%.2f B a slot, %s", float64(len(raw))/float64(h.slots), mebibytes(int64(len(raw)))), "", "", ""})
	results.add(row{fmt.Sprintf("CPU of the detail's writer, %d target(s)", h.targets), fmt.Sprintf("%.2f µs a slot", 1e6*used/float64(h.slots)), "", "", ""})
	return raw
}

// profile writes a CPU profile where the developer wants one.
func profile(t *testing.T, name string, do func()) {
	t.Helper()
	dir := os.Getenv(profileVar)
	if dir == "" {
		do()
		return
	}
	f, err := os.Create(filepath.Join(dir, name+".pprof"))
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, pprof.StartCPUProfile(f))
	defer pprof.StopCPUProfile()
	do()
}
