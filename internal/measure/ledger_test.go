package measure

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// history is a random journal of three probes and what three members hold of it.
type history struct {
	probes  []drill.ProbeInfo
	samples []drill.Sample
	back    drill.ReadBack
}

func randomHistory(random *rand.Rand) history {
	h := history{back: drill.ReadBack{Target: "orders", Primary: "b", Complete: random.IntN(4) > 0, Streams: map[string]map[string]drill.Numbers{}}}
	outcomes := []drill.Outcome{drill.OutcomeOK, drill.OutcomeOK, drill.OutcomeOK, drill.OutcomeFail, drill.OutcomeIndeterminate, drill.OutcomeUnsent, drill.OutcomeBlocked}
	for name, class := range map[string]drill.Class{"orders": drill.ClassPooled, "orders/fresh": drill.ClassFresh, "orders/a": drill.ClassPinned} {
		h.probes = append(h.probes, drill.ProbeInfo{Name: name, Kind: "postgresql", Target: "orders", Class: class, Interval: 20 * ms, Deadline: sec})
		for k := range int64(random.IntN(60)) {
			due := drill.Offset(time.Duration(k) * 20 * ms)
			s := drill.Sample{Probe: name, Class: class, Slot: k, Scheduled: due, Outcome: outcomes[random.IntN(len(outcomes))], Write: random.IntN(10) > 0}
			s.Done = due.Add(time.Duration(random.Int64N(int64(40 * ms))))
			if s.Outcome != drill.OutcomeUnsent && s.Outcome != drill.OutcomeBlocked {
				s.Sent = due
			}
			h.samples = append(h.samples, s)
		}
	}
	for _, m := range []string{"a", "b", "c"} {
		h.back.Streams[m] = map[string]drill.Numbers{}
		for _, s := range h.samples {
			often := map[drill.Outcome]int{drill.OutcomeOK: 90, drill.OutcomeIndeterminate: 50, drill.OutcomeFail: 2, drill.OutcomeUnsent: 2}[s.Outcome]
			for range 2 { // now and then twice
				if random.IntN(100) < often {
					hold(&h.back, m, s.Probe, s.Slot)
				}
				often = 3
			}
		}
		for range random.IntN(3) {
			hold(&h.back, m, []string{"orders", "nobody's"}[random.IntN(2)], 1000+random.Int64N(5))
		}
	}
	return h
}

func (h history) recording(samples []drill.Sample) drill.Recording {
	var events []drill.Event
	for _, p := range h.probes {
		events = append(events, drill.Event{Type: drill.EventProbe, Probe: &p})
	}
	events = append(events, drill.Event{Type: drill.EventSamples, Samples: samples}, drill.Event{Type: drill.EventReadBack, ReadBack: &h.back})
	return drill.Recording{Events: slices.Values(events)}
}

// counts is the ledger's definition word by word, with a map of everything.
func (h history) counts(class drill.Class) (w drill.WritesReport, lost []int64) {
	type row struct {
		stream string
		seq    int64
	}
	sent := map[row]drill.Sample{}
	for _, s := range h.samples {
		switch {
		case class != "" && s.Class != class:
			continue
		case s.Outcome == drill.OutcomeUnsent && (s.Write || s.Class != drill.ClassPinned):
			w.Unsent++
		case s.Outcome != drill.OutcomeUnsent && s.Outcome != drill.OutcomeBlocked:
			sent[row{s.Probe, s.Slot}] = s
		}
	}
	for r, s := range sent {
		present := h.back.Streams["b"][r.stream].Has(r.seq)
		if !s.Write && (s.Outcome != drill.OutcomeIndeterminate || !present) {
			continue
		}
		w.Sent++
		switch {
		case s.Outcome == drill.OutcomeFail:
			w.Failed++
		case s.Outcome == drill.OutcomeIndeterminate && present:
			w.IndeterminatePresent++
		case s.Outcome == drill.OutcomeIndeterminate:
			w.IndeterminateAbsent++
		default:
			w.Acked++
			if !present {
				lost = append(lost, r.seq)
			}
		}
	}
	phantom, fabricated, duplicate := map[row]bool{}, map[row]bool{}, map[row]bool{}
	of := map[string]drill.Class{}
	for _, p := range h.probes {
		of[p.Name] = p.Class
	}
	for _, held := range h.back.Streams {
		for stream, n := range held {
			if class != "" && of[stream] != class {
				continue
			}
			for seq := range n.All() {
				r := row{stream, seq}
				s, ok := sent[r]
				switch {
				case !ok || s.Outcome == drill.OutcomeOK && !s.Write:
					fabricated[r] = true
				case s.Outcome == drill.OutcomeFail:
					phantom[r] = true
				}
			}
			for _, again := range n.Again {
				for seq := again.First; seq <= again.Last; seq++ {
					duplicate[row{stream, seq}] = true
				}
			}
		}
	}
	w.Phantom, w.Fabricated, w.Duplicate = len(phantom), len(fabricated), len(duplicate)
	return w, lost
}

// TestLedgerAddsUp: of any history the counts are those of the definition, they add up, whatever is lost was acknowledged,
// and the order of arrival changes nothing.
func TestLedgerAddsUp(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 8))
	for i := range 1000 {
		h := randomHistory(random)
		if !slices.ContainsFunc(h.samples, func(s drill.Sample) bool { return s.Write }) {
			continue
		}
		w := Report(h.recording(h.samples)).Writes
		sum := drill.WritesReport{Lost: new(0)}
		for _, class := range []drill.Class{"", drill.ClassPooled, drill.ClassFresh, drill.ClassPinned} {
			got, ok := *w, true
			if class != "" {
				got, ok = w.ByClass[class]
			}
			want, lost := h.counts(class)
			if !ok { // no probe of the class wrote anything: what is held of its stream is a stranger's
				continue
			}
			name := fmt.Sprintf("history %d, class %q", i, class)
			require.Equal(t, len(lost), *got.Lost, name)
			require.Equal(t, got.Sent, got.Acked+got.Failed+got.IndeterminatePresent+got.IndeterminateAbsent, name)
			require.LessOrEqual(t, *got.Lost, got.Acked, name)
			require.Equal(t, *got.Lost > 0, *got.LostSpan > 0, name)
			got.Lost, got.LostSpan, got.ByClass, got.Stale = nil, nil, nil, nil
			if class == "" { // those of a probe that wrote nothing do not count
				got.Unsent, want.Unsent = 0, 0
			}
			require.Equal(t, want, got, name)
			if class != "" {
				sum.Sent, sum.Acked, *sum.Lost = sum.Sent+got.Sent, sum.Acked+got.Acked, *sum.Lost+len(lost)
			}
		}
		require.Equal(t, []int{w.Sent, w.Acked, *w.Lost}, []int{sum.Sent, sum.Acked, *sum.Lost}, "the classes are all there is")

		shuffled := slices.Clone(h.samples)
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		require.Equal(t, w, Report(h.recording(shuffled)).Writes)
	}
}

// TestStaleWrites: each write comes late on c, and the bounds of its latency hold it.
func TestStaleWrites(t *testing.T) {
	for _, d := range []time.Duration{0, 250 * ms, 2 * sec} {
		sc := failover()
		sc.cuts, sc.heirAt = nil, 0
		sc.replication = func(m string, _ time.Duration) time.Duration { return map[string]time.Duration{"c": d}[m] }
		stale := sc.report().Writes.Stale
		require.NotContains(t, stale, "a", "the primary")
		require.Zero(t, stale["b"])
		c := stale["c"]
		if d == 0 {
			require.Zero(t, c)
			continue
		}
		require.GreaterOrEqual(t, c.Writes, 4300, "nearly all of them")
		for _, b := range []*drill.Bounds{c.P50, c.P99, c.Max} {
			require.LessOrEqual(t, float64(b.Lower), secs(d))
			require.GreaterOrEqual(t, float64(b.Upper), secs(d))
			require.Less(t, float64(b.Upper-b.Lower), 0.21, "two pinned Δ")
		}
	}
	sc := failover()
	sc.cuts, sc.heirAt = nil, 0
	sc.replication = func(m string, at time.Duration) time.Duration {
		if m == "c" && at > 80*sec {
			return at // it shows nothing new until the end
		}
		return 0
	}
	c := sc.report().Writes.Stale["c"]
	require.InDelta(t, 490, c.Writes, 20, "found by the read-back alone")
	require.InDelta(t, 10, float64(c.Max.Upper), 0.2)
	sc.readBack = func(b *drill.ReadBack) { delete(b.Streams, "c") }
	require.Zero(t, sc.report().Writes.Stale["c"].Writes, "whether it ever came is not known")
}
