package drillfile

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/schema"
)

// What a drill file need not say.
const (
	defaultTimeout       = 10 * time.Minute
	defaultSteadyHold    = 10 * time.Second
	defaultSteadyTimeout = 2 * time.Minute
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
		l.diags = append(l.diags, Duplicate(block, given, at, first))
		return
	}
	seen[given] = at
}

// duration reads a duration's text, or returns the default when there is none.
func (l *loader) duration(text *string, at hcl.Range, otherwise time.Duration) time.Duration {
	if text == nil {
		return otherwise
	}
	d, err := drill.ParseDuration(*text)
	if err != nil {
		// When gohcl could not read the value it has said so, and left the text empty.
		if *text != "" || !l.failedWithin(at) {
			l.report(at, "Invalid duration", err.Error()+".")
		}
		return otherwise
	}
	return d
}

func (l *loader) failedWithin(at hcl.Range) bool {
	for _, d := range l.diags {
		if d.Severity == hcl.DiagError && d.Subject != nil && at.Overlaps(*d.Subject) {
			return true
		}
	}
	return false
}

func (l *loader) drill(b *drillBlock) *drill.Drill {
	d := &drill.Drill{Name: b.Name, File: l.path, Timeout: l.duration(b.Timeout, b.TimeoutRange, defaultTimeout)}
	if b.Description != nil {
		d.Description = strings.TrimSpace(*b.Description)
	}
	live := l.kindBlocks(d, b)
	l.wanted = wanted(b.Objectives)
	d.SteadyState = l.steadyState(b.SteadyState, live)
	l.series(d, b)
	seen := names{}
	for i := range b.Aborts {
		a := &b.Aborts[i]
		l.checkName("abort block", a.Name, a.NameRange, seen)
		r := drill.Rule{Name: a.Name, For: l.duration(a.For, a.ForRange, 0)}
		if c := l.rule(a.Condition, a.ErrorMessage, a.DefRange, live); c != nil {
			r.Condition = c
		}
		d.Aborts = append(d.Aborts, r)
	}
	d.Objectives = l.objectives(b.Objectives)
	if b.Objectives != nil {
		d.Asserts = l.asserts(b.Objectives.Asserts, live)
	}
	d.Schedule = l.schedule(b.Schedule)
	l.checkLedger(b, live)
	l.checkInvariants(live)
	return d
}

func (l *loader) steadyState(b *steadyBlock, live scope) drill.SteadyState {
	s := drill.SteadyState{Hold: defaultSteadyHold, Timeout: defaultSteadyTimeout}
	if b == nil {
		return s
	}
	s.Hold = l.duration(b.Hold, b.HoldRange, defaultSteadyHold)
	s.Timeout = l.duration(b.Timeout, b.TimeoutRange, defaultSteadyTimeout)
	if s.Timeout < s.Hold {
		at := b.TimeoutRange
		if b.Timeout == nil {
			at = b.HoldRange
		}
		l.report(at, "Timeout too short",
			fmt.Sprintf("The steady state must hold for %s, which cannot happen within %s. Raise timeout, or lower hold.", s.Hold, s.Timeout))
	}
	s.Asserts = l.asserts(b.Asserts, live)
	return s
}

// asserts compiles assert blocks, which are called by their number.
func (l *loader) asserts(blocks []assertBlock, live scope) []drill.Rule {
	var rules []drill.Rule
	for i, a := range blocks {
		r := drill.Rule{Name: fmt.Sprintf("assert_%d", i+1)}
		if c := l.rule(a.Condition, a.ErrorMessage, a.DefRange, live); c != nil {
			r.Condition = c
		}
		rules = append(rules, r)
	}
	return rules
}

// objectives lists those that the file gives, in the order of the language. There are no defaults: what a file does
// not ask for is measured and not judged.
func (l *loader) objectives(b *objectivesBlock) []drill.Objective {
	if b == nil {
		return nil
	}
	var list []drill.Objective
	seconds := func(name string, text *string, at hcl.Range) {
		if text != nil {
			list = append(list, drill.Objective{Name: name, Limit: l.duration(text, at, 0).Seconds()})
		}
	}
	count := func(name string, n *int, at hcl.Range) {
		if n == nil {
			return
		}
		if *n < 0 {
			l.report(at, "Negative count", "This is a number of things, and the most there may be of them. Write 0 or a larger whole number.")
		}
		list = append(list, drill.Objective{Name: name, Limit: float64(*n)})
	}
	seconds(drill.ObjectiveRecoveryTime, b.RecoveryTime, b.RecoveryTimeRange)
	seconds(drill.ObjectiveRedundancyTime, b.RedundancyTime, b.RedundancyTimeRange)
	count(drill.ObjectiveLostWrites, b.LostWrites, b.LostWritesRange)
	seconds(drill.ObjectiveDualPrimary, b.DualPrimary, b.DualPrimaryRange)
	seconds(drill.ObjectiveReplicationLag, b.ReplicationLag, b.ReplicationLagRange)
	count(drill.ObjectiveLeaderChanges, b.LeaderChanges, b.LeaderChangesRange)
	seconds(drill.ObjectiveReadOutage, b.ReadOutage, b.ReadOutageRange)
	seconds(drill.ObjectiveStaleness, b.Staleness, b.StalenessRange)
	count(drill.ObjectiveMonotonicReads, b.MonotonicReads, b.MonotonicReadsRange)
	count(drill.ObjectiveReadYourWrites, b.ReadYourWrites, b.ReadYourWritesRange)
	count(drill.ObjectiveSum, b.Sum, b.SumRange)
	count(drill.ObjectiveRegister, b.Register, b.RegisterRange)
	return list
}

// kindBlocks reads the targets, probes and faults into d, and returns what conditions may refer to.
func (l *loader) kindBlocks(d *drill.Drill, b *drillBlock) scope {
	before := len(l.diags)
	live := scope{"target": {}, "probe": {}}
	var checks []func()
	read := func(block string, blocks []kindBlock, kinds []Kind, keep func(b *kindBlock, spec any)) {
		seen := names{}
		for i := range blocks {
			k := &blocks[i]
			l.checkName(block, k.Name, k.NameRange, seen)
			kind, spec := l.kindBlock(block, k, kinds)
			if _, taken := live[block][k.Name]; !taken && live[block] != nil {
				live[block][k.Name] = kind
			}
			keep(k, spec)
			checks = append(checks, func() { l.checkKind(block, kind, spec, k, d.Targets) })
		}
	}
	read("target", b.Targets, l.kinds.Targets, func(k *kindBlock, spec any) {
		d.Targets = append(d.Targets, drill.TargetSpec{Kind: k.Kind, Name: k.Name, Spec: spec})
	})
	read("probe", b.Probes, l.kinds.Probes, func(k *kindBlock, spec any) {
		if t := live["target"][k.Name]; t != nil && t.Probed {
			l.report(k.NameRange, "Duplicate name",
				fmt.Sprintf("The target %q is probed under its own name already. Give this probe another name, such as %q.", k.Name, k.Name+"-"+k.Kind))
		}
		d.Probes = append(d.Probes, drill.ProbeSpec{Kind: k.Kind, Name: k.Name, Spec: spec})
	})
	read("fault", b.Faults, l.kinds.Faults, func(k *kindBlock, spec any) {
		d.Faults = append(d.Faults, drill.FaultSpec{Kind: k.Kind, Name: k.Name, Spec: spec})
	})
	complete := l.checkNumber("target", b, b.Targets, "which names the system under test")
	complete = l.checkNumber("fault", b, b.Faults, "which says what to break") && complete
	if complete && len(l.diags) == before {
		for _, check := range checks {
			check()
		}
	}
	return live
}

// checkNumber holds a drill to exactly one target and one fault. It returns false when blocks are missing, or were
// left out because of their labels, which has been reported.
func (l *loader) checkNumber(block string, b *drillBlock, blocks []kindBlock, what string) bool {
	for i := 1; i < len(blocks); i++ {
		l.diags = append(l.diags, notYet(blocks[i].DefRange, "A drill with more than one "+block, "Keep one, and write another drill for the other."))
	}
	written := len(blocks)
	if body, ok := b.Body.(*hclsyntax.Body); ok {
		written = count(body, block)
	}
	if written == 0 {
		l.report(b.DefRange, "Missing "+block+" block", fmt.Sprintf("A drill needs a %s block, %s.", block, what))
	}
	return written > 0 && written == len(blocks)
}

// kindBlock finds a block's kind and lets it read the body.
func (l *loader) kindBlock(block string, b *kindBlock, kinds []Kind) (*Kind, any) {
	for i := range kinds {
		if kinds[i].Name != b.Kind {
			continue
		}
		spec, decoded := kinds[i].Decode(b.Body, l.static)
		diags := decoded.Diagnostics
		body, ok := b.Body.(*hclsyntax.Body)
		for _, d := range diags {
			if !ok || !l.excused(d, body) {
				l.diags = append(l.diags, d)
			}
		}
		if ok && mayCallSecret(block) && !diags.HasErrors() {
			l.diags = append(l.diags, checkSensitive(spec, body)...)
		}
		return &kinds[i], spec
	}
	known := make([]string, 0, len(kinds))
	for _, k := range kinds {
		known = append(known, k.Name)
	}
	l.report(b.KindRange, "Unknown kind of "+block, fmt.Sprintf("There is no kind of %s named %q.%s", block, b.Kind, schema.DidYouMean(b.Kind, known)))
	return nil, nil
}

// excused reports whether a kind complains of a value that is unknown only because its expression has another problem.
func (l *loader) excused(d *hcl.Diagnostic, body *hclsyntax.Body) bool {
	if d.Subject == nil {
		return false
	}
	for _, a := range body.Attributes {
		if at := a.Expr.Range(); at.ContainsPos(d.Subject.Start) {
			return within(at, l.causes)
		}
	}
	return false
}

func (l *loader) checkKind(block string, kind *Kind, spec any, b *kindBlock, targets []drill.TargetSpec) {
	if kind == nil || kind.Check == nil {
		return
	}
	if sentence := kind.Check(spec, b.Name, targets); sentence != "" {
		l.report(b.NameRange, "Unsuitable "+block, sentence)
	}
}
