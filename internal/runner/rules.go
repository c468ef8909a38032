package runner

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/measure"
)

// ruleState follows one abort condition.
type ruleState struct {
	rule   drill.Rule
	truth  drill.Truth
	since  drill.Offset // when that became known
	counts bool         // it is true, or unknown where that counts as true
	from   drill.Offset // since when it counts
	fired  bool
}

// look takes in what the condition says now, and reports whether that changed, and whether it has counted for as long as
// it must. at is when that became known; graceEnd is when the expected outage is over, before which nothing counts.
func (s *ruleState) look(truth drill.Truth, at, now, graceEnd drill.Offset) (changed, fires bool) {
	if changed = truth != s.truth; changed {
		s.truth, s.since = truth, max(s.since, at)
	}
	counts := truth == drill.True || truth == drill.Unknown && s.rule.OnUnknown == drill.UnknownBreach
	if counts && !s.counts {
		s.from = max(s.from, at)
	}
	s.counts = counts
	s.from = max(s.from, graceEnd)
	fires = counts && !s.fired && now.Sub(s.from) >= s.rule.For
	s.fired = s.fired || fires
	return changed, fires
}

// checkRules evaluates every abort condition; the first that has held for long enough ends the run. Abort conditions
// count from the first injection on: before it there is nothing to abort, and the steady state decides. at is when that
// became known which they are evaluated for. Once something has ended the run, no condition can any more.
func (r *run) checkRules(at drill.Offset) {
	if !r.touched || len(r.rules) == 0 {
		return
	}
	select {
	case <-r.over:
		return
	default:
	}
	now := r.clock.Now()
	values := r.live.Values(now)
	at = max(at, r.firstInjected)
	for _, s := range r.rules {
		truth, message := s.rule.Condition.Evaluate(values)
		graceEnd := r.firstInjected.Add(s.rule.Grace)
		changed, fires := s.look(truth, at, now, graceEnd)
		if !changed && !fires {
			continue
		}
		change := &drill.RuleChange{Kind: drill.RuleAbort, Name: s.rule.Name, Condition: conditionText(s.rule),
			Truth: truth, Fired: fires, Since: s.since, Message: message, Breach: s.counts && truth == drill.Unknown}
		if s.rule.Grace > 0 {
			change.Grace = graceEnd
		}
		if change.Breach {
			change.Message = "Something in it has no reading, and on_unknown counts that as a breach: " + message
		}
		if fires {
			change.Due = s.from.Add(s.rule.For)
		}
		r.emitLocked(drill.Event{Type: drill.EventRule, Text: change.Message, Rule: change})
		if fires {
			r.abort(ended{drill.End{Cause: drill.EndAborted, Code: "abort_condition", Text: fmt.Sprintf("%s: %s", s.rule.Name, change.Message)}})
		}
	}
}

// disarm ends the watch of abort conditions, when it is decided how the run ends: a report must not call it aborted, too.
func (r *run) disarm() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rules = nil
}

// preconditions judges each precondition once, as soon as every value in it has a reading. One that does not hold refuses
// the run at once: unlike the steady state, it is nothing that is waited for.
func (r *run) preconditions(ctx context.Context) error {
	left := slices.Clone(r.Drill.Preconditions)
	if len(left) == 0 {
		return nil
	}
	r.step(drill.StepConditions)
	limit := r.Drill.SteadyState.Timeout
	var refusal error
	done, err := r.wait(ctx, limit, func(now drill.Offset) bool {
		left = slices.DeleteFunc(left, func(rule drill.Rule) bool {
			truth, why := r.precondition(rule, now, "")
			refusal = cmp.Or(refusal, why)
			return truth != drill.Unknown
		})
		return len(left) == 0 || refusal != nil
	})
	if err != nil || refusal != nil || done {
		return cmp.Or(refusal, err)
	}
	_, why := r.precondition(left[0], r.clock.Now(), fmt.Sprintf("something in it had no reading within %s", limit))
	return why
}

// precondition judges a precondition, tells it, and says why the run is refused if it does not hold. One of which a value
// has no reading is told only when there is a word on that.
func (r *run) precondition(rule drill.Rule, now drill.Offset, unknown string) (drill.Truth, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	truth, message := rule.Condition.Evaluate(r.live.Values(now))
	if truth == drill.Unknown && unknown == "" {
		return truth, nil
	}
	r.emitLocked(drill.Event{Type: drill.EventRule, Text: message, Rule: &drill.RuleChange{Kind: drill.RulePrecondition, Name: rule.Name,
		Condition: conditionText(rule), Truth: truth, Since: now, Message: message}})
	if truth == drill.True {
		return truth, nil
	}
	text := fmt.Sprintf("The precondition %s does not hold: %s", rule.Name, message)
	if truth == drill.Unknown {
		text = fmt.Sprintf("The precondition %s cannot be judged, because %s: %s", rule.Name, unknown, message)
	}
	return truth, &drill.Refusal{Code: "precondition", Text: strings.TrimSuffix(text, ".") + ". Nothing was injected."}
}

// lastLook makes sure, right before the first injection, that everything still is as it was found: that may be long ago.
func (r *run) lastLook(ctx context.Context, steady *steadiness) error {
	if r.Guard != nil {
		if err := r.Guard.Quiet(ctx); err != nil {
			return err
		}
		if err := steady.again(ctx); err != nil { // to ask takes its time
			return err
		}
	}
	for _, rule := range r.Drill.Preconditions {
		if _, why := r.precondition(rule, r.clock.Now(), "something in it has no reading any more"); why != nil {
			return why
		}
	}
	return nil
}

// judge evaluates the objectives' assertions once, over what the run has measured in the end.
func (r *run) judge() {
	if len(r.Drill.Asserts) == 0 {
		return
	}
	values := measure.Final(r.Recording())
	for _, a := range r.Drill.Asserts {
		truth, message := a.Condition.Evaluate(values)
		r.emit(drill.Event{Type: drill.EventRule, Text: message, Rule: &drill.RuleChange{
			Kind: drill.RuleObjective, Name: a.Name, Condition: conditionText(a), Truth: truth, Since: r.clock.Now(), Message: message}})
	}
}

// conditionText is a rule's condition as the file has it, where there is a file.
func conditionText(rule drill.Rule) string {
	if c, ok := rule.Condition.(fmt.Stringer); ok {
		return c.String()
	}
	return ""
}
