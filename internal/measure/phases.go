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
}

// phases cuts the time from the injection to restored redundancy into stretches that sum to it. A milestone that
// nobody saw is left out, and its time belongs to the next one. Watch events travel through the API server and may
// arrive late, so milestones are clamped to order.
func (r *run) phases(c *recovery, rep *drill.RecoveryReport) []drill.Phase {
	phases := []drill.Phase{}
	from := r.injection.from
	limit := forever
	if !c.never && !r.settings.NoLedger {
		limit = c.at
	}
	ms := r.milestones
	if r.settings.NoLedger {
		ms = r.passage
	}
	before := from
	for _, m := range ms(c, rep) {
		if m.name == phaseRedundant {
			limit = forever
		}
		at := min(max(m.at, before), limit)
		phases = append(phases, drill.Phase{
			Name: m.name, Start: r.since(before), Seconds: seconds(at.Sub(before)), Signal: m.signal,
		})
		before = at
	}
	return phases
}

func (r *run) milestones(c *recovery, rep *drill.RecoveryReport) []milestone {
	ms := r.clientMilestones(c)
	if first := c.firstDown(); first != nil {
		ms = slices.Insert(ms, 1, r.takeover(c, *first)...)
	}
	if red := rep.Redundancy; red != nil && *red != drill.Never() {
		ms = append(ms, milestone{phaseRedundant, r.injection.from.Add(duration(*red)), "every member answers, streams and has caught up"})
	}
	return ms
}

// clientMilestones are those of an outage that clients themselves saw: the first is its impact.
func (r *run) clientMilestones(c *recovery) []milestone {
	first := c.firstDown()
	if first == nil {
		return nil
	}
	ms := []milestone{{phaseImpact, first.Scheduled, symptom(*first)}}
	if s := c.firstSuccess(r.injection.from); s != nil {
		signal := "first accepted write"
		if r.settings.NoLedger {
			signal = "first good answer"
		}
		if s.By != "" {
			signal += ", by " + s.By
		}
		ms = append(ms, milestone{phaseFirstSuccess, s.Done, signal})
	}
	if !c.never {
		ms = append(ms, milestone{phaseSustained, c.at, "no slot was down from here on"})
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
		ms = append(ms, milestone{phaseDetected, promoted.at, "inferred: nothing was announced before the promotion"})
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
		case v.at < r.injection.from:
		case !named:
			away = true // a member that restarts in place is routed to once it was not
		case away:
			return append(ms, milestone{phaseRouted, v.at, "the Service names " + heir})
		}
	}
	return ms
}

// detected is the first view that turned away from the former primary. The members' own word counts only when it
// names another one: that the former does not answer is the injury, and no one's having noticed it.
func (r *run) detected(former string) *milestone {
	label, service := false, false // named the former before
	for _, v := range r.views {
		after := v.at >= r.injection.from
		switch {
		case after && label && !slices.Contains(v.Label, former):
			return &milestone{phaseDetected, v.at, "the role label left " + former}
		case after && service && !slices.Contains(v.Service, former):
			return &milestone{phaseDetected, v.at, "the Service dropped " + former}
		case after && len(v.Member) > 0 && !slices.Contains(v.Member, former):
			return &milestone{phaseDetected, v.at, v.Member[0] + " calls itself primary"}
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
		if found == nil || at < found.at {
			found = &milestone{phasePromoted, at, name + " says that it is primary"}
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
