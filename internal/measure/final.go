package measure

import (
	"slices"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// Final are the values by which a run is judged in the end, under the names of the live values: all outages since
// the injection, +Inf when the last one had not ended; the worst lag; the share of good slots and the p99 of their latency since
// the injection; the newest of what a numeric probe reads, or the least where that is what counts; how long the run took,
// and of that since its first injection. A value that is not known is missing.
func Final(rec drill.Recording) drill.Live {
	r := newRun(rec)
	rep := r.report(rec.Run)
	v := drill.Live{"target": {}, "probe": {}, "run": {"": {"elapsed_seconds": r.lastMoment.Seconds()}}}
	if r.injection != nil {
		v["run"][""]["fault_seconds"] = r.lastMoment.Sub(r.injection.from).Seconds()
	}
	if r.target != "" {
		v["target"][r.target] = r.finalTarget(rep)
	}
	for _, p := range r.probes {
		if p.Target == "" {
			v["probe"][p.Name] = r.finalProbe(p)
		}
	}
	return v
}

func (r *run) finalTarget(rep drill.Report) map[string]float64 {
	v := map[string]float64{}
	if rec := rep.Recovery; rec != nil {
		for _, o := range rec.Outages {
			v["outage_seconds"] += float64(o.Seconds)
		}
		if rec.Outcome == drill.OutcomeNotRecovered {
			v["outage_seconds"] = float64(drill.Never())
		} else if len(rec.Outages) == 0 {
			v["outage_seconds"] = 0
		}
	}
	if r.headline != nil {
		if share, ok := successRatio(r.observed(r.headline)); ok {
			v["success_ratio"] = share
		}
	}
	if lag := rep.ReplicationLag; lag != nil && lag.Peak != nil {
		v["lag_seconds"] = float64(lag.Peak.Upper)
	}
	for _, i := range drill.Invariants() {
		if length, number := invariant(i.Objective, rep.Invariants); length != nil {
			v[i.Value] = float64(*length)
		} else if number != nil {
			v[i.Value] = float64(*number)
		}
	}
	if n, ok := r.finalPrimaries(); ok {
		v["primaries"] = float64(n)
	}
	if e := rep.Endpoints; e != nil && e.LeastReady != nil {
		v["ready"], v["desired"] = float64(*e.LeastReady), float64(*e.Desired)
	}
	return v
}

// finalPrimaries is how many members called themselves primary when the observation ended.
func (r *run) finalPrimaries() (n int, ok bool) {
	for _, p := range r.of(drill.ClassPinned) {
		for _, s := range slices.Backward(p.slots) {
			if s.Outcome == drill.OutcomeBlocked || s.Outcome == drill.OutcomeUnsent {
				continue
			}
			if s.Outcome == drill.OutcomeOK || s.Reading != nil {
				ok = true
				if s.Role == drill.RolePrimary {
					n++
				}
			}
			break
		}
	}
	return n, ok
}

func (r *run) finalProbe(p *probe) map[string]float64 {
	v := map[string]float64{}
	if p.Numeric() {
		read := p.readings(r.injectedAt())
		switch {
		case !p.Least && read.last != nil:
			v[p.Value] = *read.last
		case p.Least && read.least != nil && !read.gap:
			v[p.Value] = *read.least
		}
		return v
	}
	slots := r.observed(p)
	if share, ok := successRatio(slots); ok {
		v["success_ratio"] = share
		v["outage_seconds"] = float64(outageSum(slots, p.criterion))
	}
	var latencies []time.Duration
	for _, s := range slots {
		if s.Outcome == drill.OutcomeOK {
			latencies = append(latencies, latency(s))
		}
	}
	if slices.Sort(latencies); len(latencies) > 0 {
		v["latency_seconds"] = percentile(latencies, 0.99).Seconds()
	}
	return v
}

// outageSum is how long the outages took together; never when the last one had not ended.
func outageSum(slots []slot, by criterion) (sum drill.Seconds) {
	for _, o := range outages(slots, by) {
		if o.up < 0 {
			return drill.Never()
		}
		sum += seconds(o.endEstimate(slots).Sub(o.from))
	}
	return sum
}

// injectedAt is when the observation begins; the baseline counts when nothing was injected.
func (r *run) injectedAt() drill.Offset {
	if r.injection == nil {
		return 0
	}
	return r.injection.from
}

// successRatio is the share of the slots that say anything which were up.
func successRatio(slots []slot) (share float64, ok bool) {
	good, bad := count(slots, up), count(slots, down)
	if good+bad == 0 {
		return 0, false
	}
	return float64(good) / float64(good+bad), true
}

// readings is what a numeric probe read in a stretch; nil what is not known.
type readings struct {
	last, least, most *float64
	gap               bool // for a while nothing was known, as Live sees it: an extreme may have been missed
}

// readings are those of the slots from a moment on. What does not hold any more at the last slot is no last value.
func (p *probe) readings(from drill.Offset) (r readings) {
	known := from // up to when a reading was known
	for _, s := range p.slots {
		if s.Scheduled < from || s.Outcome != drill.OutcomeOK {
			continue
		}
		if r.last = nil; !s.Valued {
			r.gap = true
			continue
		}
		r.gap = r.gap || s.Scheduled.Sub(known) > staleAfter*p.Interval
		known, r.last = s.Scheduled, new(s.Value)
		if r.least == nil || s.Value < *r.least {
			r.least = r.last
		}
		if r.most == nil || s.Value > *r.most {
			r.most = r.last
		}
	}
	if n := len(p.slots); n > 0 && p.slots[n-1].Scheduled.Sub(known) > staleAfter*p.Interval {
		r.last, r.gap = nil, true
	}
	return r
}
