package drillfile

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/schema"
)

// What a drill file need not say.
const (
	defaultTimeout       = 10 * time.Minute
	defaultSteadyHold    = 10 * time.Second
	defaultSteadyTimeout = 2 * time.Minute
)

// Bounds of a series of runs.
const (
	maxRepeat  = 1000
	maxStagger = time.Hour
)

// Bounds of a blip: less than the least is less than any slot interval, and more than the most is an outage to anybody.
const (
	minBlip = time.Millisecond
	maxBlip = 2 * time.Second
)

// Language is what a drill file may hold. The bodies of targets, probes and faults also hold what their kinds declare.
func Language() []schema.Nested {
	return []schema.Nested{
		{Type: "variable", Labels: []string{"name"}, Many: true, Body: variableBody().Table(),
			Doc: "A value that is given from outside: on the command line, in the environment, or in a file."},
		{Type: "locals", Many: true, Doc: "Values with names, to be written once: any argument, of any type. `local.cluster` refers to the argument `cluster`."},
		{Type: "drill", Labels: []string{"name"}, Many: true, Required: true, Body: drillBody().Table(),
			Doc: "What is broken on purpose, and what must hold meanwhile."},
	}
}

// rootBody is the top of a drill file.
func rootBody() schema.Body[struct{}] { return schema.Body[struct{}]{Blocks: Language()} }

type drillSpec struct {
	Description string
	Timeout     time.Duration
	Repeat      int
	Stagger     time.Duration
	Blip        time.Duration
}

func drillBody() schema.Body[drillSpec] {
	return schema.Body[drillSpec]{
		Defaults: drillSpec{Timeout: defaultTimeout, Repeat: 1, Blip: drill.DefaultBlip},
		Arguments: func(s *drillSpec) []schema.Argument {
			return []schema.Argument{
				schema.String("description", &s.Description, "What the drill proves, for people.", schema.Check(checkDescription)),
				schema.Duration("timeout", &s.Timeout, "How long one run may take; then everything is reverted, and the verdict is `error`.",
					schema.Check(func(d time.Duration) (string, string) {
						if d == 0 {
							return "Timeout too short", "A run takes some time. Write how long it may take at most, such as \"10m\"."
						}
						return "", ""
					})),
				schema.Number("repeat", &s.Repeat, "How many independent trials there are when the drill is run; the report has their median, p90 and worst.",
					schema.Between(1, maxRepeat)),
				schema.Duration("stagger", &s.Stagger, "The longest random delay before the first fault, so that faults do not always meet the same phase of a lease.",
					schema.Default("no delay"), schema.Check(checkStagger)),
				schema.Duration("blip", &s.Blip, "What clients must lose, in a row or within a second, for it to be an outage; two slot intervals of the probe at the least. What is less is a blip: counted, and no part of the recovery time.",
					schema.Between(minBlip, maxBlip), schema.Hint("What is too short is noise, and what is too long hides outages.")),
			}
		},
		Blocks: drillBlocks(),
	}
}

func checkDescription(text string) (summary, detail string) {
	if len(text) > maxDescription {
		return "Description too long", fmt.Sprintf("The description has %d bytes, and may have %d: it stands in every report. Put the rest into a comment.", len(text), maxDescription)
	}
	return "", ""
}

func checkStagger(d time.Duration) (summary, detail string) {
	if d > maxStagger {
		return "Delay too long", fmt.Sprintf(
			"The random delay before a fault may be up to %s, and this is %s. A little more than the target's lease or ttl is enough.", maxStagger, d)
	}
	return "", ""
}

// drillBlocks is made once: a file may have many drills, and nobody changes what is in it.
var drillBlocks = sync.OnceValue(func() []schema.Nested {
	kind := []string{"kind", "name"}
	name := []string{"name"}
	return []schema.Nested{
		{Type: "target", Labels: kind, Many: true, Required: true, Doc: "The system under test."},
		{Type: "probe", Labels: kind, Many: true, Doc: "What is sampled beside the target, at a fixed rate."},
		{Type: "guard", Body: guardBody().Table(), Doc: "What the drill may not touch, whatever its targets and faults say. Where a guard does not hold, the run is `refused`."},
		{Type: "precondition", Labels: name, Many: true, Body: ruleBody().Table(),
			Doc: "What must hold before anything is touched. Nothing waits for it: when it does not hold, the run is `refused`."},
		{Type: "steady_state", Body: steadyBody().Table(), Doc: "What must hold before the first fault, without a break, or the run is `refused`."},
		{Type: "fault", Labels: kind, Many: true, Required: true, Body: faultBody().Table(),
			Doc: "What to break. Several faults are injected in the order of the file."},
		{Type: "abort", Labels: name, Many: true, Body: abortBody().Table(), Doc: "What ends the run early, and reverts its faults: the run is `aborted`."},
		{Type: "objectives", Body: objectivesBody().Table(), Doc: "What must hold for the run to pass. What is not asked for is measured and not judged."},
		{Type: "schedule", Body: scheduleBody().Table(), Doc: "When the drill runs by itself."},
		{Type: "notify", Labels: name, Many: true, Doc: "Who is told how a run ended. It belongs to the language; this version of drill cannot do it."},
	}
})

// faultSpec is what every fault may say beside its kind's own arguments.
type faultSpec struct{ After time.Duration }

func faultBody() schema.Body[faultSpec] {
	return schema.Body[faultSpec]{Arguments: func(s *faultSpec) []schema.Argument {
		return []schema.Argument{
			schema.Duration("after", &s.After, "How long after the fault before it this one is injected; after the steady state, for the first.", schema.Default("at once")),
		}
	}}
}

// ruleSpec is a condition and its message. Both stay expressions.
type ruleSpec struct{ Condition, ErrorMessage *hcl.Attribute }

func (s *ruleSpec) arguments() []schema.Argument {
	return []schema.Argument{
		schema.Expression("condition", &s.Condition, "True or false, over live values such as `target.orders.lag_seconds < 1`.", schema.Required()),
		schema.Expression("error_message", &s.ErrorMessage, "What people are told of it; live values may be in it, as in `\"Lag ${target.orders.lag_seconds} s.\"`.", schema.Required()),
	}
}

func ruleBody() schema.Body[ruleSpec] {
	return schema.Body[ruleSpec]{Arguments: (*ruleSpec).arguments}
}

func assertBlock(doc string) schema.Nested {
	return schema.Nested{Type: "assert", Many: true, Body: ruleBody().Table(), Doc: doc}
}

type steadySpec struct{ Hold, Timeout time.Duration }

func steadyBody() schema.Body[steadySpec] {
	return schema.Body[steadySpec]{
		Defaults: steadySpec{Hold: defaultSteadyHold, Timeout: defaultSteadyTimeout},
		Arguments: func(s *steadySpec) []schema.Argument {
			return []schema.Argument{
				schema.Duration("hold", &s.Hold, "For how long it must hold without a break."),
				schema.Duration("timeout", &s.Timeout, "How long it is waited for."),
			}
		},
		Blocks: []schema.Nested{assertBlock("A condition that must be true, beside the target's own health.")},
		Check: func(s *steadySpec, d *schema.Decoded) {
			if s.Timeout >= s.Hold {
				return
			}
			at := d.At("timeout")
			if !d.Given("timeout") {
				at = d.At("hold")
			}
			d.Report(at, "Timeout too short", "The steady state must hold for %s, which cannot happen within %s. Raise timeout, or lower hold.", s.Hold, s.Timeout)
		},
	}
}

type abortSpec struct {
	ruleSpec
	For       time.Duration
	Grace     time.Duration
	OnUnknown string
}

func abortBody() schema.Body[abortSpec] {
	return schema.Body[abortSpec]{
		Defaults: abortSpec{OnUnknown: string(drill.UnknownPending)},
		Arguments: func(s *abortSpec) []schema.Argument {
			return append(s.arguments(),
				schema.Duration("for", &s.For, "For how long the condition must be true without a break.", schema.Default("it fires at once")),
				schema.Duration("grace", &s.Grace, "For how long after the first injection the condition does not count yet, because the outage is expected.",
					schema.Default("it counts from the injection on")),
				schema.String("on_unknown", &s.OnUnknown, "What a value without a reading means: `pending` waits for one, `breach` counts as if the condition were true, because the probe may be dead.",
					schema.Answer(string(drill.UnknownPending), string(drill.UnknownBreach))))
		},
		Check: func(s *abortSpec, d *schema.Decoded) {
			if drill.OnUnknown(s.OnUnknown) == drill.UnknownBreach && s.For == 0 {
				d.Report(d.At("on_unknown"), "Breach without for",
					"A value has no reading whenever a probe is late once, and that alone would end the run. Say with for how long that may last, such as for = \"10s\".")
			}
		},
	}
}

// namespaceName is what Kubernetes lets a namespace be called.
var namespaceName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

func guardBody() schema.Body[drill.Guard] {
	return schema.Body[drill.Guard]{
		Arguments: func(s *drill.Guard) []schema.Argument {
			return []schema.Argument{
				schema.Strings("namespaces", &s.Namespaces, "The only namespaces in which anything may be touched.", schema.Default("any"), atMost(maxAllowed, "namespaces", checkNamespaces)),
				schema.Number("max_targets", &s.MaxTargets, "The most members that all faults together may touch: their victims, and for a cut the pods at its other end, too.", schema.Default("any number"),
					schema.Check(func(n int) (string, string) {
						if n < 1 {
							return "Max targets out of range", fmt.Sprintf("max_targets is %d, and a fault hurts at least one member. Write 1 or a larger whole number.", n)
						}
						return "", ""
					})),
				schema.Strings("no_alert", &s.NoAlert, "Names of alerts. While one of them fires in Prometheus, no run is started.", atMost(maxAlerts, "alerts", nil)),
				schema.String("prometheus", &s.Prometheus, "The URL of the Prometheus that knows of the alerts; needed with no_alert.", schema.Check(checkPrometheus)),
			}
		},
		Check: func(s *drill.Guard, d *schema.Decoded) {
			if i := slices.Index(s.NoAlert, ""); i >= 0 {
				d.Report(d.At("no_alert"), "Empty alert name", "An alert has a name, such as \"DatabaseDown\". Remove the empty one.")
			}
			if d.Given("no_alert") && !d.Given("prometheus") {
				d.Report(d.At("no_alert"), "Alerts without Prometheus", "Nobody can be asked whether these alerts fire. Write whom, such as prometheus = \"http://prometheus.monitoring:9090\".")
			}
		},
	}
}

func checkNamespaces(all []string) (summary, detail string) {
	if len(all) == 0 {
		return "No namespace allowed", "With an empty list nothing could be touched. Name the namespaces of the targets, or remove namespaces to allow any."
	}
	for _, ns := range all {
		if !namespaceName.MatchString(ns) {
			return "Invalid namespace", fmt.Sprintf("%q cannot be the name of a namespace. Write each namespace by its full name, such as \"shop\".", ns)
		}
	}
	return "", ""
}

func checkPrometheus(text string) (summary, detail string) {
	switch u, err := url.Parse(text); {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return "Invalid url", fmt.Sprintf("%q is not a URL of http or https. Write it as \"http://prometheus.monitoring:9090\".", text)
	case u.User != nil:
		return "Password in url", "This URL is printed, so it cannot hold a user or a password. Name one that needs none."
	}
	return "", ""
}

// alertBody is of the objective that an alert fires.
func alertBody() schema.Body[struct{ Within time.Duration }] {
	return schema.Body[struct{ Within time.Duration }]{Arguments: func(s *struct{ Within time.Duration }) []schema.Argument {
		return []schema.Argument{schema.Duration("within", &s.Within, "How long after the injection the alert must fire at the latest.", schema.Required())}
	}}
}
