package measure

import (
	"slices"

	"github.com/failoverdrill/drill/internal/drill"
)

// Names of phases, in their order (MEASURING.md, "Recovery").
const (
	phaseImpact       = "impact"
	phaseDetected     = "detected"
	phaseReady        = "ready" // of a target without a ledger: a new pod is
	phasePromoted     = "promoted"
	phaseRouted       = "routed"
	phaseFirstSuccess = "first_success"
	phaseSustained    = "sustained"
	phaseRedundant    = "redundant"
)

// milestone is the end of a phase.
type milestone struct {
	name   string
	at     drill.Offset
	signal string
	fault  string // of several, the one after which it came
}

// phases cuts the time from the injection to restored redundancy into stretches that sum to it. A milestone that
// nobody saw is left out, and its time belongs to the next one. Watch events travel through the API server and may
// arrive late, so milestones are clamped to order.
func (r *run) phases(c *recovery, rep *drill.RecoveryReport) []drill.Phase {
	phases := []drill.Phase{}
	limit := forever
	if !c.never && !r.settings.NoLedger {
		limit = c.at
	}
	ms := r.milestones(c)
	if len(r.parts()) > 1 {
		ms = r.courses(c)
	}
	if red := rep.Redundancy; red != nil && *red != drill.Never() {
		signal := "every member answers, streams and has caught up"
		if r.settings.NoLedger {
			signal = "as many ready endpoints as are desired"
		}
		ms = append(ms, milestone{name: phaseRedundant, at: r.injection.from.Add(duration(*red)), signal: signal})
	}
	before := r.injection.from
	for _, m := range ms {
		if m.name == phaseRedundant {
			limit = forever
		}
		at := min(max(m.at, before), limit)
		phases = append(phases, drill.Phase{
			Name: m.name, Start: r.since(before), Seconds: seconds(at.Sub(before)), Signal: m.signal, Fault: m.fault,
		})
		before = at
	}
	return phases
}

// milestones are those up to the recovery.
func (r *run) milestones(c *recovery) []milestone {
	if r.settings.NoLedger {
		return r.passage(c)
	}
	ms := r.clientMilestones(c)
	if first := c.firstDown(); first != nil {
		ms = slices.Insert(ms, 1, r.takeover(c, *first)...)
	}
	return ms
}

// clientMilestones are those of an outage that clients themselves saw: the first is its impact.
func (r *run) clientMilestones(c *recovery) []milestone {
	first := c.firstDown()
	if first == nil {
		return nil
	}
	ms := []milestone{{name: phaseImpact, at: first.Scheduled, signal: symptom(*first)}}
	if s := c.firstSuccess(r.injection.from); s != nil {
		signal := "first accepted write"
		if r.settings.NoLedger {
			signal = "first good answer"
		}
		if s.By != "" {
			signal += ", by " + s.By
		}
		ms = append(ms, milestone{name: phaseFirstSuccess, at: s.Done, signal: signal})
	}
	if !c.never {
		ms = append(ms, milestone{name: phaseSustained, at: c.at, signal: "no outage from here on"})
	}
	return ms
}

// symptom is what the first client to notice got.
func symptom(s slot) string {
	switch {
	case s.Outcome == drill.OutcomeOK:
		return "first answer that came too late: " + say(seconds(latency(s)))
	case s.Signal == "":
		return "first client error"
	}
	return "first client error: " + s.Signal
}

// takeover finds when the failure was detected, the heir promoted, and clients routed to it.
func (r *run) takeover(c *recovery, first slot) []milestone {
	var ms []milestone
	former := r.former()
	heir := c.heir()
	promoted := r.promoted(former, heir, first)
	switch detected := r.detected(former); {
	case detected != nil:
		ms = append(ms, *detected)
	case promoted != nil:
		ms = append(ms, milestone{name: phaseDetected, at: promoted.at, signal: "inferred: nothing was announced before the promotion"})
	}
	if promoted == nil {
		return ms
	}
	ms = append(ms, *promoted)
	if heir == "" {
		return ms
	}
	away := heir != former
	for _, v := range r.views {
		named := slices.Contains(v.Service, heir)
		switch {
		case v.at < r.injection.from || v.at >= r.until:
		case !named:
			away = true // a member that restarts in place is routed to once it was not
		case away:
			return append(ms, milestone{name: phaseRouted, at: v.at, signal: "the Service names " + heir})
		}
	}
	return ms
}

// detected is the first view that turned away from the former primary. The members' own word counts only when it
// names another one: that the former does not answer is the injury, and no one's having noticed it.
func (r *run) detected(former string) *milestone {
	label, service := false, false // named the former before
	for _, v := range r.views {
		after := v.at >= r.injection.from && v.at < r.until
		switch {
		case after && label && !slices.Contains(v.Label, former):
			return &milestone{name: phaseDetected, at: v.at, signal: "the role label left " + former}
		case after && service && !slices.Contains(v.Service, former):
			return &milestone{name: phaseDetected, at: v.at, signal: "the Service dropped " + former}
		case after && len(v.Member) > 0 && !slices.Contains(v.Member, former):
			return &milestone{name: phaseDetected, at: v.at, signal: v.Member[0] + " calls itself primary"}
		}
		label, service = slices.Contains(v.Label, former), slices.Contains(v.Service, former)
	}
	return nil
}

// promoted is when the heir first called itself primary; a member that restarts in place, when it did so again. When
// writes never came back, any other member's word is taken.
func (r *run) promoted(former, heir string, first slot) *milestone {
	is := func(name string) bool {
		if heir == "" {
			return name != "" && name != former
		}
		return name == heir
	}
	since := r.injection.from
	if heir == former {
		since = first.Scheduled
	}
	var found *milestone
	note := func(at drill.Offset, name string) {
		if at < r.until && (found == nil || at < found.at) {
			found = &milestone{name: phasePromoted, at: at, signal: name + " says that it is primary"}
		}
	}
	for _, p := range r.probes {
		if p.Target != r.target {
			continue
		}
		for _, s := range p.slots {
			if s.Sent > since && s.Role == drill.RolePrimary && is(by(s)) {
				note(s.Done, by(s))
				break
			}
		}
	}
	for _, v := range r.views {
		if v.at <= since || heir == former { // a view that still names the former says nothing of a restart
			continue
		}
		for _, name := range v.Member {
			if is(name) {
				note(v.at, name)
			}
		}
	}
	return found
}
