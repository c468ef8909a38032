package measure

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// reading is what one replica's slot says of its lag.
type reading struct {
	member     string
	sent, done drill.Offset
	bounds     drill.Bounds
	engine     float64
}

// replay is the whole observation, seen through the cluster's eyes.
type replay struct {
	lags     []reading
	readings int               // slots in which any member was known
	whole    []span            // in which the next fault would have been survived
	blind    []span            // in which some member other than the primary was unknown
	away     map[string][]span // by member: in which it was unknown and not the primary
}

// replay walks through every write and every pinned slot in the order in which their outcomes became known.
func (r *run) replay() *replay {
	c := newCluster(r.settings.RedundancyLag)
	c.plan(r.members)
	var all []*slot
	for _, p := range r.probes {
		if p != r.headline && (p.Class != drill.ClassPinned || p.Target != r.target) {
			continue
		}
		c.probe(p.ProbeInfo)
		for i := range p.slots {
			all = append(all, &p.slots[i])
		}
	}
	// Of samples that ended together the write comes first: a reading that was sent later must know of it.
	slices.SortStableFunc(all, func(a, b *slot) int {
		if c := cmp.Compare(ended(*a), ended(*b)); c != 0 { // of millions, hardly two
			return c
		}
		return cmp.Or(cmp.Compare(b.Class, a.Class), cmp.Compare(a.Probe, b.Probe), cmp.Compare(a.Slot, b.Slot))
	})
	v := &replay{}
	absent := newAbsence(c)
	good := false
	for _, p := range all {
		s := *p
		if s.Class != drill.ClassPinned {
			c.write(s)
			continue
		}
		m := c.pinned(s)
		absent.note(s, m)
		if m.word.known {
			v.readings++
		}
		if m.word.known && m.word.role == drill.RoleReplica {
			v.lags = append(v.lags, reading{m.name, s.Sent, s.Done, m.word.lag, m.word.engine})
		}
		ok, _ := c.whole(ended(s))
		switch {
		case ok && !good:
			v.whole = append(v.whole, span{ended(s), forever})
		case !ok && good:
			last := &v.whole[len(v.whole)-1]
			last.to = max(last.from, s.Scheduled)
		}
		good = ok
	}
	v.away = absent.spans(r.finish)
	for _, spans := range v.away {
		v.blind = append(v.blind, spans...)
	}
	v.blind = merge(v.blind)
	return v
}

// ended is when the outcome was known; a slot that was not sent may carry no time of its own.
func ended(s slot) drill.Offset { return max(s.Done, s.Scheduled) }

// absence collects the time in which a member could not be read while it was not the primary: of a primary that died
// one does not want to know how far it lags, until another one leads.
type absence struct {
	cluster *cluster
	last    map[string]drill.Offset // by pinned probe: the turn of the last slot that was known
	open    map[string]absentee     // by pinned probe
	leaders []sightingOfLeader
	found   map[string][]span // by member
}

// absentee is a member that cannot be read, from a moment on.
type absentee struct {
	name  string
	since drill.Offset
}

type sightingOfLeader struct {
	at   drill.Offset
	name string
}

func newAbsence(c *cluster) *absence {
	return &absence{cluster: c, last: map[string]drill.Offset{}, open: map[string]absentee{}, found: map[string][]span{},
		leaders: []sightingOfLeader{{0, c.leader}}}
}

// note takes one pinned slot, and the member that it was about. An absence begins at the first slot's turn that brought
// nothing after one that did. It ends when the member answers, or another one in its place.
func (a *absence) note(s slot, m *member) {
	if a.cluster.leader != a.leaders[len(a.leaders)-1].name {
		a.leaders = append(a.leaders, sightingOfLeader{s.Done, a.cluster.leader})
	}
	known := m.word.known
	gone, away := a.open[s.Member]
	switch {
	case known && away:
		a.found[gone.name] = append(a.found[gone.name], span{gone.since, s.Done})
		delete(a.open, s.Member)
	case !known && (!away || s.Scheduled < gone.since) && s.Scheduled > a.last[s.Member]:
		// The slot that hung ends after those that it blocked, and came before them.
		a.open[s.Member] = absentee{m.name, s.Scheduled}
	}
	if known {
		a.last[s.Member] = s.Scheduled
	}
}

// spans are the absences of each member up to the end of the observation, without the time in which it led.
func (a *absence) spans(end drill.Offset) map[string][]span {
	for _, m := range a.open {
		a.found[m.name] = append(a.found[m.name], span{m.since, max(m.since, end)})
	}
	away := map[string][]span{}
	for name, found := range a.found {
		for _, s := range found {
			for i, l := range a.leaders {
				to := forever
				if i+1 < len(a.leaders) {
					to = a.leaders[i+1].at
				}
				part := span{max(s.from, l.at), min(s.to, to)}
				if l.name != name && part.from < part.to {
					away[name] = append(away[name], part)
				}
			}
		}
		away[name] = merge(away[name])
	}
	return away
}

// merge joins spans that touch.
func merge(all []span) []span {
	slices.SortFunc(all, func(a, b span) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	var out []span
	for _, s := range all {
		if n := len(out); n > 0 && s.from <= out[n-1].to {
			out[n-1].to = max(out[n-1].to, s.to)
			continue
		}
		out = append(out, s)
	}
	return out
}

// overlap is how much of the spans lies in w.
func overlap(spans []span, w span) (d time.Duration) {
	for _, s := range spans {
		d += max(0, min(s.to, w.to).Sub(max(s.from, w.from)))
	}
	return d
}

// trusted is how long a replica may have gone unread in the baseline before its lag there counts as unknown, and how
// far the engine's figure may be off before that is a finding.
const trusted = time.Second

func (r *run) lagReport(v *replay) (*drill.LagReport, []drill.Finding) {
	if v.readings == 0 || r.headline == nil || len(r.members) < 2 {
		return nil, nil
	}
	rep := &drill.LagReport{ByMember: map[string]drill.Bounds{}, Unknown: seconds(overlap(v.blind, span{0, forever}))}
	base := r.baseline(r.headline)
	for _, l := range v.lags {
		if l.sent < base.from {
			continue
		}
		if have, ok := rep.ByMember[l.member]; !ok || l.bounds.Upper > have.Upper {
			rep.ByMember[l.member] = l.bounds
		}
	}
	rep.Before = r.lagIn(v, base)
	if r.injection != nil {
		rep.AtFault = r.lagAtFault(v)
		rep.Peak = r.lagPeak(v)
	}
	var worst *reading
	for i, l := range v.lags {
		if math.IsNaN(l.engine) {
			continue
		}
		if d := disagreement(l); rep.EngineDisagreement == nil || d > *rep.EngineDisagreement {
			rep.EngineDisagreement, worst = &d, &v.lags[i]
		}
	}
	if worst == nil || float64(disagreement(*worst)) <= trusted.Seconds() {
		return rep, nil
	}
	return rep, []drill.Finding{{Severity: "warning", Code: "lag_metric_lies", Text: fmt.Sprintf(
		"%s was %s behind, by the writes that it did not show; your dashboard's query said %s.",
		worst.member, say((worst.bounds.Lower+worst.bounds.Upper)/2), figure(worst.engine))}}
}

// behind says how far a replica is behind, and what the exporters' query says of it when that is something else.
func behind(member string, w word) string {
	text := fmt.Sprintf("%s is %s behind", member, say(w.lag.Upper))
	if math.Abs(w.engine-float64(w.lag.Upper)) > trusted.Seconds() { // never true of NaN
		text += fmt.Sprintf("; your dashboard's query says %s", figure(w.engine))
	}
	return text
}

// figure writes what the engine said, which may be no length of time at all.
func figure(engine float64) string {
	if math.IsInf(engine, 0) {
		return fmt.Sprintf("%+g", engine)
	}
	return say(drill.Seconds(engine))
}

// disagreement is how far the engine's own figure is off; it may be infinite.
func disagreement(l reading) drill.Seconds {
	return drill.Seconds(math.Abs(l.engine - float64(l.bounds.Lower+l.bounds.Upper)/2))
}

func worse(have *drill.Bounds, b drill.Bounds) *drill.Bounds {
	if have == nil || b.Upper > have.Upper {
		return &b
	}
	return have
}

// replicas names the members that were no primary at plan.
func (r *run) replicas() []string {
	var names []string
	for _, m := range r.members {
		if m.Role != drill.RolePrimary {
			names = append(names, m.Name)
		}
	}
	return names
}

// lagIn is the worst lag over the replicas in a stretch; nil when one of them was not read in it, or for too long.
func (r *run) lagIn(v *replay, w span) *drill.Bounds {
	var worst *drill.Bounds
	read := map[string]bool{}
	for _, l := range v.lags {
		if l.sent >= w.from && l.done <= w.to {
			read[l.member] = true
			worst = worse(worst, l.bounds)
		}
	}
	for _, name := range r.replicas() {
		if !read[name] {
			return nil
		}
	}
	if overlap(v.blind, w) > trusted {
		return nil
	}
	return worst
}

// lagAtFault is the worst of the replicas' last readings before the injection; nil when a replica's last slot before
// it brought none, for an older reading says nothing of that moment.
func (r *run) lagAtFault(v *replay) *drill.Bounds {
	var worst *drill.Bounds
	for _, name := range r.replicas() {
		var last *reading
		for i, l := range v.lags {
			if l.member == name && l.done <= r.injection.from {
				last = &v.lags[i]
			}
		}
		if last == nil {
			return nil
		}
		for _, p := range r.of(drill.ClassPinned) {
			for _, s := range p.slots {
				if s.Member == name && s.Scheduled > last.sent && ended(s) <= r.injection.from {
					return nil
				}
			}
		}
		worst = worse(worst, last.bounds)
	}
	return worst
}

// lagPeak is the worst lag after the fault. nil when no replica could be read at the end, or a survivor of the faults
// not for longer than is trusted: then it may have been worse. What was hurt may stay away for as long as it takes.
func (r *run) lagPeak(v *replay) *drill.Bounds {
	var worst *drill.Bounds
	read := false // at the end
	for _, l := range v.lags {
		if l.done >= r.injection.from {
			worst = worse(worst, l.bounds)
		}
		read = read || l.done >= r.finish.Add(-trusted)
	}
	if !read {
		return nil
	}
	for name, spans := range v.away {
		if r.hurt(name) {
			continue
		}
		for _, s := range spans {
			if min(s.to, r.finish).Sub(max(s.from, r.injection.from)) > trusted {
				return nil
			}
		}
	}
	return worst
}

// hurt reports whether a member was to be the victim of some fault.
func (r *run) hurt(name string) bool {
	for _, p := range r.plans {
		if slices.ContainsFunc(p.Victims, func(m drill.Member) bool { return m.Name == name }) {
			return true
		}
	}
	return false
}
