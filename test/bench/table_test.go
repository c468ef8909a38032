//go:build bench

package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// row is one line of the table at the end.
type row struct {
	what, drill, against, ratio, goal string
}

// book gathers what the benchmarks found.
type book struct {
	mu   sync.Mutex
	rows []row
}

var results book

func (b *book) add(r row) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rows = append(b.rows, r)
}

func (b *book) print(w io.Writer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.rows) == 0 {
		return
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WHAT\tDRILL\tAGAINST\tRATIO\tGOAL")
	for _, r := range b.rows {
		fmt.Fprintln(table, strings.Join([]string{r.what, r.drill, r.against, r.ratio, r.goal}, "\t"))
	}
	_ = table.Flush()
}

// pair is one round: the same thing measured of drill and of its peer, one right after the other.
type pair struct{ drill, peer float64 }

// spread writes the median of the rounds' ratios, and the least and the most.
func spread(rounds []pair) string {
	var rs []float64
	for _, p := range rounds {
		rs = append(rs, p.drill/p.peer)
	}
	slices.Sort(rs)
	return fmt.Sprintf("%.2f (%.2f to %.2f)", median(rs), rs[0], rs[len(rs)-1])
}

// columns are the rounds' values of drill, and those of the peer.
func columns(rounds []pair) (drill, peer []float64) {
	for _, p := range rounds {
		drill, peer = append(drill, p.drill), append(peer, p.peer)
	}
	return drill, peer
}

func median(vs []float64) float64 {
	vs = slices.Sorted(slices.Values(vs))
	return vs[len(vs)/2]
}

// micros writes a time per operation.
func micros(d float64) string { return fmt.Sprintf("%.0f µs", d/float64(time.Microsecond)) }

func millis(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// met says whether a goal was met.
func met(goal string, ok bool) string {
	if ok {
		return goal + ": met"
	}
	return goal + ": NOT met"
}
