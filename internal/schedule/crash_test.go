package schedule_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/schedule"
)

// twoLeaders lets an old leader work that does not know yet that there is a new one. One loses the compare-and-swap.
func (c *cluster) twoLeaders(now time.Time, skew time.Duration) {
	read := c.saved
	b1, s1 := c.begin(now)
	b2, s2 := c.begin(now.Add(-skew))
	for b, starts := range map[*schedule.Book][]schedule.Start{b1: s1, b2: s2} {
		if len(starts) == 0 {
			continue
		}
		b.Intend(starts[0], "", "")
		if c.save(b, read) {
			c.start(b, starts[0])
		}
	}
}

// deleteRecords deletes every record, and reports whether the book did not know yet that one of them had been made.
func (c *cluster) deleteRecords() (unknown bool) {
	if open := c.entry().Intent; open != nil {
		unknown = slices.ContainsFunc(c.runs, func(r schedule.Run) bool { return r.For.Equal(open.For) })
	}
	c.runs = nil
	return unknown
}

// setFinished ends the newest run, or lets it go on.
func (c *cluster) setFinished(over bool) {
	if len(c.runs) > 0 {
		c.runs[len(c.runs)-1].Finished = over
	}
}

// TestNothingTwiceNothingLost lets servers die at every place, overlap, sleep, and lose what they wrote, while records
// are deleted. In the end every due time has exactly one run or is counted as missed.
func TestNothingTwiceNothingLost(t *testing.T) {
	for seed := range uint64(60) {
		for _, missed := range []string{drill.MissedSkip, drill.MissedRunLate} {
			r := rand.New(rand.NewPCG(seed, 7))
			c := newCluster(t, []string{"*/2 * * * *", "*/5 * * * *", "0 * * * *"}[r.IntN(3)], missed)
			if r.IntN(2) == 0 {
				c.installed[0].Schedule.Jitter = 100 * time.Second
			}
			skew := time.Duration(seed%2) * 45 * time.Second // between two leaders
			first := at(t, "2026-03-28T22:00:00Z")
			now := first
			c.pass(now)
			twofold := 0 // a run that was made before the book called it lost
			for range 120 {
				now = now.Add(time.Duration(r.IntN(120)) * time.Second)
				switch r.IntN(10) {
				case 0: // no server for a while
					now = now.Add(time.Duration(r.IntN(40)) * time.Minute)
				case 1: // it dies after it made the run
					c.passUntil(now, made)
				case 2: // it dies before
					c.passUntil(now, intended)
				case 3:
					c.twoLeaders(now, skew)
				case 4: // a run that goes on
					c.setFinished(false)
					c.pass(now)
				case 5: // the clock is a minute off
					c.pass(now.Add(-time.Minute))
				case 6:
					if c.deleteRecords() {
						twofold++
					}
				default:
					c.setFinished(true)
					c.pass(now)
				}
			}
			c.pass(now)
			now = now.Add(2 * time.Hour)
			c.pass(now)
			e := c.entry()
			due := 0
			table, problems := schedule.Parse(c.installed[0].Schedule)
			require.Empty(t, problems)
			for d := table.Next(first); !d.After(e.Handled); d = table.Next(d) {
				due++
			}
			for d, n := range c.started {
				require.Equal(t, 1, n, "%s", d)
			}
			// Of two leaders whose clocks differ, one may give up a time that the other then starts, and a run whose
			// record was deleted before the book knew it may be counted: it is counted and run, and never neither.
			assert.GreaterOrEqual(t, len(c.started)+e.Missed, due, "seed %d, %s", seed, missed)
			if skew == 0 {
				assert.Equal(t, due+twofold, len(c.started)+e.Missed, "seed %d, %s", seed, missed)
			}
		}
	}
}
