package measure

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// differ lists what a report says and the plain definition does not.
func (a plainAnswer) differ(h *tale, rep *drill.RecoveryReport) (wrong []string) {
	miss := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	same := func(what string, plain float64, product drill.Seconds) {
		if p := float64(product); plain != p && !(math.Abs(plain-p) < 1e-6) {
			miss("%s: plain %.6f, product %.6f", what, plain, p)
		}
	}
	if rep == nil || a.mute {
		if (rep == nil) != a.mute {
			miss("plain says nothing: %v, product says nothing: %v", a.mute, rep == nil)
		}
		return wrong
	}
	same("L", a.within.Seconds(), rep.UpWithin)
	same("lower", a.lower, rep.Lower)
	same("estimate", a.estimate, rep.Estimate.Estimate)
	same("upper", a.upper, rep.Upper)
	if never := rep.Outcome == drill.OutcomeNotRecovered; never != a.never {
		miss("never: plain %v, product %v", a.never, never)
	}
	B, sum, longest := h.delta.Seconds(), 0.0, 0.0
	for _, n := range a.blips {
		sum, longest = sum+float64(n)*B, max(longest, float64(n)*B)
	}
	if len(a.blips) != rep.Blips.Count {
		miss("blips: plain %d, product %d", len(a.blips), rep.Blips.Count)
	}
	same("blips' sum", sum, rep.Blips.Seconds)
	same("the longest blip", longest, rep.Blips.Longest)
	failed, slow := 0, 0
	for _, s := range a.slots {
		if s.failed() {
			failed++
		} else if s.down {
			slow++
		}
	}
	same("failed_seconds", float64(failed)*B, rep.Failed)
	same("slow_seconds", float64(slow)*B, rep.Slow)
	if len(a.outages) != len(rep.Outages) {
		miss("outages: plain %d, product %d", len(a.outages), len(rep.Outages))
		return wrong
	}
	most := 0.0
	for i, o := range a.outages {
		got := rep.Outages[i]
		start := max(h.from, a.slots[o.first].Scheduled) // the turn of a slot under way at the injection was before that
		same(fmt.Sprintf("outage %d's start", i), start.Sub(h.from).Seconds(), got.Start)
		length := math.Inf(1)
		if o.up >= 0 {
			last, up := a.slots[o.last].Scheduled, a.slots[o.up].Scheduled
			length = max(0, (last + (up-last)/2).Sub(start).Seconds())
		}
		same(fmt.Sprintf("outage %d's length", i), length, got.Seconds)
		most = max(most, length)
		if got.Kind != o.kind || got.DownSlots != o.down || got.Fault != o.fault {
			miss("outage %d: plain %s, %d down slots, %q; product %+v", i, o.kind, o.down, o.fault, got)
		}
	}
	same("the longest outage", most, rep.LongestOutage)
	lenient := h.plain
	lenient.lenient = true
	if answered := lenient.answer(); !answered.mute {
		same("answered, lower", answered.lower, rep.Answered.Lower)
		same("answered, estimate", answered.estimate, rep.Answered.Estimate)
		same("answered, upper", answered.upper, rep.Answered.Upper)
	}
	return wrong
}

// String shows a history on a few lines: a letter a slot, from the hold on.
func (h *tale) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%.3g Hz, blip %v, up_within %v, window %v, ", h.hz, h.blip, h.upWithin, h.window)
	fmt.Fprintf(&b, "hold %.3f, injection %.3f to %.3f, faults %v, end %.3f\n  %s\n",
		h.hold.Seconds(), h.from.Seconds(), h.at.Seconds(), h.faults, h.end.Seconds(), strings.Join(h.script, "; "))
	within := h.within()
	for _, s := range h.samples {
		if s.Scheduled < h.hold {
			continue
		}
		if s.Scheduled >= h.from && s.Scheduled < h.from.Add(h.delta) {
			b.WriteString(" | ")
		}
		switch j := h.judge(s, within); {
		case j.up:
			b.WriteByte('.')
		case j.failed():
			b.WriteByte('F')
		case j.down:
			b.WriteByte('s')
		default:
			b.WriteByte('?')
		}
	}
	return b.String()
}

// TestThreeHandsAgree: on every outage, blip and recovery of the generated histories Report says what the plain
// definition says, and so does Live on every outage, also in the middle of it.
func TestThreeHandsAgree(t *testing.T) {
	const shards = 4
	for shard := range uint64(shards) {
		t.Run(fmt.Sprint(shard), func(t *testing.T) {
			t.Parallel()
			wrong := 0
			outcomes := map[string]int{}
			for number := shard; number < generated; number += shards {
				h := newTale(number)
				a := h.answer()
				rep := Report(h.recording())
				if miss := append(a.differ(h, rep.Recovery), h.live()...); len(miss) > 0 {
					t.Errorf("history %d: %s\n%v", number, strings.Join(miss, "\n  "), h)
					if wrong++; wrong == 5 {
						t.FailNow()
					}
				}
				a.count(outcomes)
			}
			t.Logf("%d histories, %d outages, all the same by three hands: %v", outcomes["all"], outcomes["outages"], outcomes)
			for _, what := range []string{"never", "no outage", "blips", "failed", "slow", "read_only", "pieces", "relapse"} {
				require.Greater(t, outcomes[what], generated/shards/100, "too few histories hold %s to prove anything", what)
			}
		})
	}
}

// count notes what a history was an example of.
func (a plainAnswer) count(outcomes map[string]int) {
	outcomes["all"]++
	outcomes["outages"] += len(a.outages)
	switch {
	case a.mute:
		outcomes["mute"]++
	case len(a.outages) == 0:
		outcomes["no outage"]++
	case a.never:
		outcomes["never"]++
	}
	if len(a.blips) > 0 {
		outcomes["blips"]++
	}
	if len(a.outages) > 1 {
		outcomes["relapse"]++
	}
	kinds := []drill.OutageKind{drill.OutageFailed, drill.OutageSlow, drill.OutageReadOnly, drill.OutagePieces}
	for _, kind := range kinds {
		if slices.ContainsFunc(a.outages, func(o plainOutage) bool { return o.kind == kind }) {
			outcomes[string(kind)]++
		}
	}
}
