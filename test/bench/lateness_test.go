//go:build bench

package bench

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// perTarget is how many slots a second a target takes at the default rates: pooled, fresh and one pinned probe.
const perTarget = 70

// TestMostSlots looks for the most slots a second that one core takes before their lateness exceeds half of Δ. What
// answers has the other core.
func TestMostSlots(t *testing.T) {
	url, count := newServer(t, place{core: 2})

	load, _ := start(t, place{core: 1, env: []string{"GOMAXPROCS=1"}}, "closed", httpLoad{URL: url, Probes: 10})
	time.Sleep(settle)
	n := count()
	time.Sleep(shortStretch)
	closed := float64(count()-n) / shortStretch.Seconds()
	load.stop(new(any))
	t.Logf("closed loop: %.0f/s", closed)

	for _, c := range []struct{ role, what string }{{"nothing", "most slots on one core, sampler alone"}, {"http", "most HTTP slots on one core"}} {
		most, late := search(t, c.role, url)
		drill := fmt.Sprintf("%d/s, p99 late %s", most, millis(late))
		results.add(row{c.what, drill, fmt.Sprintf("a target's %d/s", perTarget), fmt.Sprintf("%.0f", float64(most)/perTarget), ""})
		if c.role == "http" {
			results.add(row{c.what, drill, fmt.Sprintf("closed loop, plain Go %.0f/s", closed), fmt.Sprintf("%.2f", float64(most)/closed), ""})
		}
	}
}

// shortStretch is how long one step of a search takes.
const shortStretch = 3 * time.Second

// searchRate is that of each probe in the search, and half its Δ is what its p99 of lateness may be.
const (
	searchRate = 50
	halfDelta  = time.Second / searchRate / 2
)

// search doubles the number of probes until they are late, and then halves the distance. What fits once fits: a stall of
// the machine is not the sampler's. 0 means that on this machine not even the fewest are in time at present.
func search(t *testing.T, role, url string) (most int, late time.Duration) {
	t.Helper()
	once := func(n int) bool {
		load, _ := start(t, place{core: 1, env: []string{"GOMAXPROCS=1"}}, role, httpLoad{URL: url, Class: "pooled", Rate: searchRate, Probes: n})
		time.Sleep(warmup + shortStretch)
		var slots taken
		load.stop(&slots)
		ok := slots.P99 <= halfDelta && slots.OK > slots.Slots*99/100 && slots.Slots > searchRate*n*int(shortStretch.Seconds())*95/100
		t.Logf("%s, %d/s: p99 %v, max %v, %d of %d ok, unsent %d: %t", role, n*searchRate, slots.P99, slots.Max, slots.OK, slots.Slots, slots.Unsent, ok)
		if ok && n*searchRate > most {
			most, late = n*searchRate, slots.P99
		}
		return ok
	}
	fits := func(n int) bool {
		for range 2 {
			if once(n) {
				return true
			}
		}
		return false
	}
	low, high := 0, 8
	for fits(high) && high < 1<<14 {
		low, high = high, 2*high
	}
	for range 3 {
		if middle := (low + high) / 2; middle > low && fits(middle) {
			low = middle
		} else {
			high = middle
		}
	}
	return most, late
}

// TestBusyCores takes the lateness of ten targets at the default rates, on a machine that does nothing else and on one
// with a busy loop for every core, in turn. The servers share those cores.
func TestBusyCores(t *testing.T) {
	_, d := newPair(t)
	d.Targets, d.Rate, d.Pinned = 10, 50, true
	var p99s, p50s []pair
	var worst time.Duration
	unsent, all := 0, 0
	sample := func(i int, name string, busy int) taken {
		d := d
		d.Run = fmt.Sprintf("%s-%d", name, i)
		load, _ := start(t, place{}, "ledger", d)
		var loops []*child
		for range busy { // once the targets are open: logging in is not what is measured
			loop, _ := start(t, place{}, "spin", nil)
			loops = append(loops, loop)
		}
		time.Sleep(warmup + stretch)
		for _, loop := range loops {
			loop.stop(new(any))
		}
		var slots taken
		load.stop(&slots)
		t.Logf("%s: p50 %v, p99 %v, max %v, %d slots, %d unsent, %d blocked, %v",
			name, slots.P50, slots.P99, slots.Max, slots.Slots, slots.Unsent, slots.Blocked, slots.Signals)
		return slots
	}
	for i := range rounds {
		idle, busy := sample(i, "idle", 0), sample(i, "busy", runtime.NumCPU())
		p99s = append(p99s, pair{float64(busy.P99), float64(idle.P99)})
		p50s = append(p50s, pair{float64(busy.P50), float64(idle.P50)})
		worst = max(worst, busy.P99)
		unsent, all = unsent+busy.Unsent, all+busy.Slots
	}
	delta := time.Second / time.Duration(d.Rate)
	for _, c := range []struct {
		name string
		of   []pair
	}{{"p50", p50s}, {"p99", p99s}} {
		busy, idle := columns(c.of)
		results.add(row{"lateness " + c.name + ", 10 targets, cores busy", micros(median(busy)), "cores idle " + micros(median(idle)), spread(c.of), ""})
	}
	busy, _ := columns(p99s)
	results.add(row{"lateness p99, 10 targets, cores busy", micros(median(busy)), "Δ " + micros(float64(delta)),
		fmt.Sprintf("%.2f", median(busy)/float64(delta)), met("p99 <= Δ in each round", worst <= delta)})
	results.add(row{"slots unsent, 10 targets, cores busy", fmt.Sprintf("%d of %d", unsent, all), "invalid above 5 %",
		fmt.Sprintf("%.1f %%", 100*float64(unsent)/float64(all)), ""})
}
