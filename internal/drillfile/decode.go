package drillfile

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/schema"
)

// names remembers where each name of a block type was first used.
type names map[string]hcl.Range

// name is what a block may be called: a part of an expression, a label, and of a file's name.
var name = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,62}$`)

func (l *loader) checkName(block, given string, at hcl.Range, seen names) {
	if !name.MatchString(given) {
		l.report(at, "Invalid name",
			fmt.Sprintf("%q cannot be the name of this %s. Write a letter, and then up to 62 letters, digits, hyphens and underscores.", given, block))
		return
	}
	if first, ok := seen[given]; ok {
		hint := "Give one of them a different name."
		if block == "fault" {
			hint = fmt.Sprintf("Give one of them a different name, and write target = %q in it if that is what the name stands for.", given)
		}
		l.report(at, "Duplicate name",
			fmt.Sprintf("Another %s named %q is on line %d of %s; this one is on line %d. %s",
				block, given, first.Start.Line, first.Filename, at.Start.Line, hint))
		return
	}
	seen[given] = at
}

// take adds the problems of a body that was read, and says where belongs what has no place in it.
func (l *loader) take(d *schema.Decoded) {
	for _, s := range d.Strays {
		l.explain(s)
		l.muted = append(l.muted, s.Range)
	}
	l.diags = append(l.diags, d.Diagnostics...)
}

// notYet warns of a part of the language that this version cannot do: the file is valid, and a run of the drill refused.
func (l *loader) notYet(at hcl.Range, what, hint string) {
	l.diags = append(l.diags, &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: schema.NotYet, Subject: &at,
		Detail: what + " belongs to the drill language, but this version of drill cannot do it. " + hint})
}

// unavailable lists what was found not to be available yet, as the reason for which a run is refused.
func unavailable(diags hcl.Diagnostics) []drill.Unavailable {
	var all []drill.Unavailable
	for _, d := range tidy(diags) {
		if d.Severity == hcl.DiagWarning && d.Summary == schema.NotYet && d.Subject != nil {
			all = append(all, drill.Unavailable{Text: d.Detail, File: d.Subject.Filename, Line: d.Subject.Start.Line})
		}
	}
	return all
}

// firstOf reads every block of a type, so that the problems of all are told, and keeps what the first of them says.
func firstOf[T any](blocks hcl.Blocks, blockType string, otherwise T, read func(*hcl.Block) T) T {
	kept := otherwise
	for i, b := range blocks.OfType(blockType) {
		if v := read(b); i == 0 {
			kept = v
		}
	}
	return kept
}

func (l *loader) drill(b *hcl.Block) *drill.Drill {
	before := len(l.diags)
	spec, body := drillBody().Decode(b.Body, l.static)
	l.take(body)
	body.Blocks = l.bounded(body.Blocks)
	d := &drill.Drill{Name: b.Labels[0], File: l.path, Description: strings.TrimSpace(spec.Description),
		Timeout: spec.Timeout, Repeat: spec.Repeat, Stagger: spec.Stagger, Blip: spec.Blip}
	parts := l.parts(d, body.Blocks, b.Body)
	asked := firstOf(body.Blocks, "objectives", judged{}, l.objectives)
	d.Objectives = asked.list
	live := scope{kinds: parts.kinds, vague: parts.vague, asked: asked.at}
	d.Guard = firstOf(body.Blocks, "guard", d.Guard, func(g *hcl.Block) drill.Guard { return l.guard(g, parts) })
	d.Preconditions = l.preconditions(body.Blocks.OfType("precondition"), live.at(atStart))
	steady := firstOf(body.Blocks, "steady_state", defaultSteady(), func(s *hcl.Block) steadyState { return l.steadyState(s, live.at(atStart)) })
	d.SteadyState = steady.SteadyState
	t := timeline{drill: d, block: b, body: body, steady: steady.sound, faults: parts.faults}
	l.checkTimeout(t)
	d.Aborts = l.aborts(body.Blocks.OfType("abort"), live.at(inRun), t)
	d.Asserts = l.asserts(asked.asserts, live.at(atEnd))
	d.Schedule = firstOf(body.Blocks, "schedule", nil, l.schedule)
	for _, n := range body.Blocks.OfType("notify") {
		l.notYet(n.DefRange, "The block notify", "Remove it to run the drill.")
	}
	l.checkClients(parts)
	l.checkObjectives(asked, parts.kinds["target"])
	d.Unavailable = unavailable(l.diags[before:])
	return d
}

// steadyState is a steady_state block, and whether the lengths of time in it can be relied on.
type steadyState struct {
	drill.SteadyState
	sound bool
}

func defaultSteady() steadyState {
	d := steadyBody().Defaults
	return steadyState{drill.SteadyState{Hold: d.Hold, Timeout: d.Timeout}, true}
}

func (l *loader) steadyState(b *hcl.Block, live scope) steadyState {
	spec, d := steadyBody().Decode(b.Body, l.static)
	l.take(d)
	return steadyState{
		drill.SteadyState{Hold: spec.Hold, Timeout: spec.Timeout, Asserts: l.asserts(l.bounded(d.Blocks).OfType("assert"), live)},
		d.Sound("hold"),
	}
}

// asserts compiles assert blocks, which are called by their number.
func (l *loader) asserts(blocks hcl.Blocks, live scope) []drill.Rule {
	var rules []drill.Rule
	for i, b := range blocks {
		if l.enough() {
			break
		}
		spec, d := ruleBody().Decode(b.Body, l.static)
		l.take(d)
		rules = append(rules, l.rule(fmt.Sprintf("assert_%d", i+1), spec, live))
	}
	return rules
}

func (l *loader) preconditions(blocks hcl.Blocks, live scope) []drill.Rule {
	var rules []drill.Rule
	seen := names{}
	for _, b := range blocks {
		l.checkName("precondition block", b.Labels[0], b.LabelRanges[0], seen)
		spec, d := ruleBody().Decode(b.Body, l.static)
		l.take(d)
		rules = append(rules, l.rule(b.Labels[0], spec, live))
	}
	return rules
}

func (l *loader) aborts(blocks hcl.Blocks, live scope, t timeline) []drill.Rule {
	var rules []drill.Rule
	seen := names{}
	for _, b := range blocks {
		if l.enough() {
			break
		}
		l.checkName("abort block", b.Labels[0], b.LabelRanges[0], seen)
		spec, d := abortBody().Decode(b.Body, l.static)
		l.take(d)
		r := l.rule(b.Labels[0], spec.ruleSpec, live)
		r.For, r.Grace, r.OnUnknown = spec.For, spec.Grace, drill.OnUnknown(spec.OnUnknown)
		l.checkAbort(r, d, t)
		rules = append(rules, r)
	}
	return rules
}
