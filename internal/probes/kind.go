package probes

import (
	"fmt"
	"math"
	"net/url"
	"time"

	"github.com/hashicorp/hcl/v2"
	"go.uber.org/zap"
	"k8s.io/client-go/kubernetes"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/schema"
)

// Deps is what a probe works with.
type Deps struct {
	Kube  kubernetes.Interface
	Log   *zap.Logger
	Reach *kube.Reach // the addresses that probes may connect to; nil allows all
}

// Kind is one row of the table of probes.
type Kind struct {
	Name        string
	Doc         string
	Example     string             // a block of the kind
	Table       schema.Table       // its arguments
	Attributes  []schema.Attribute // what conditions may ask of probe.<name>
	Decode      func(hcl.Body, *hcl.EvalContext) (any, *schema.Decoded)
	permissions func(spec any) []drill.Permission
	host        func(spec any) string
	bind        func(d Deps, name string, spec any) (drill.Probe, error)
}

// Bind makes a probe of this kind from its decoded block. It touches nothing before the first slot; what the user can
// mend is a *drill.Refusal.
func (k Kind) Bind(d Deps, name string, spec any) (drill.Probe, error) {
	if d.Log == nil {
		d.Log = zap.NewNop()
	}
	return k.bind(d, name, spec)
}

// Permissions are the rights in the cluster that the probe needs.
func (k Kind) Permissions(spec any) []drill.Permission { return k.permissions(spec) }

// Host is the host that the probe connects to, as the file names it; "" when it is none but the API server.
func (k Kind) Host(spec any) string { return k.host(spec) }

// impl is what the author of a kind writes, with a typed spec.
type impl[Spec any] struct {
	body        schema.Body[Spec]
	permissions func(Spec) []drill.Permission
	host        func(Spec) string
	bind        func(Deps, string, Spec) (drill.Probe, error)
}

// define erases an impl's types.
func define[Spec any](k Kind, i impl[Spec]) Kind {
	k.Table = i.body.Table()
	k.Decode = func(b hcl.Body, ctx *hcl.EvalContext) (any, *schema.Decoded) { return i.body.Decode(b, ctx) }
	k.permissions = func(spec any) []drill.Permission {
		if i.permissions == nil {
			return nil
		}
		return i.permissions(spec.(Spec))
	}
	k.host = func(spec any) string {
		if i.host == nil {
			return ""
		}
		return i.host(spec.(Spec))
	}
	k.bind = func(d Deps, name string, spec any) (drill.Probe, error) { return i.bind(d, name, spec.(Spec)) }
	return k
}

// availability are the attributes of a probe that asks whether something answers.
func availability() []schema.Attribute {
	return []schema.Attribute{
		schema.Seconds("outage_seconds", "How long its present outage has lasted; 0 when there is none. A blip is none."),
		schema.Ratio("success_ratio", "The share of the slots of the last 10 s that were answered well and in time."),
		schema.Seconds("latency_seconds", "How long the newest good answer took, from when it was due."),
	}
}

// Rates and deadlines of the probes that ask whether something answers.
const (
	defaultRate    = 10 // Hz
	maxRate        = 100
	defaultTimeout = 500 * time.Millisecond
	minTimeout     = time.Millisecond
	maxTimeout     = time.Second
)

// pace is how often a probe asks, and how long it waits for an answer.
type pace struct {
	rate     int // Hz
	timeout  time.Duration
	upWithin time.Duration // 0: learnt from the baseline
}

func defaultPace() pace { return pace{rate: defaultRate, timeout: defaultTimeout} }

// PerSecond is how often a probe of this pace asks in a second.
func (p pace) PerSecond() int { return p.rate }

func (p *pace) paceArguments() []schema.Argument {
	return []schema.Argument{
		schema.Number("rate", &p.rate, "Slots a second.", schema.Between(1, maxRate)),
		schema.Duration("timeout", &p.timeout, "How long a slot waits for its answer.", schema.Between(minTimeout, maxTimeout)),
		schema.UpWithin(&p.upWithin),
	}
}

// checkPace looks at the pace's arguments together.
func (p *pace) checkPace(d *schema.Decoded) {
	schema.Slots{Argument: "rate", Rate: p.rate, Deadline: p.timeout, Waits: "a slot waits for its answer"}.CheckUpWithin(d, p.upWithin)
}

// checkURL holds an address, which will be printed, to what can be asked. The example is a good one.
func checkURL(example string) schema.Option {
	return schema.Check(func(text string) (summary, detail string) {
		switch u, err := url.Parse(text); {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
			return "Invalid url", fmt.Sprintf("%q is not a URL of http or https. Write it as %q.", text, example)
		case u.User != nil:
			return "Password in url", "A probe's URL is printed, so it cannot hold a user or a password. Name one that needs none."
		}
		return "", ""
	})
}

// hostOf is the host of a URL.
func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// info describes a probe that asks whether something answers.
func (p pace) info(kind, name string, class drill.Class) drill.ProbeInfo {
	return drill.ProbeInfo{
		Name: name, Kind: kind, Class: class, Interval: time.Second / time.Duration(p.rate), Deadline: p.timeout, UpWithin: p.upWithin,
		// As many as can be under way at once, and one that is ending at the very moment in which the next is due.
		Sessions: max(2, int(math.Ceil(float64(p.rate)*p.timeout.Seconds()))+1),
	}
}

// fail marks a slot as failed. A probe only asks, so nothing can have happened that would have to be looked for.
func fail(s *drill.Sample, signal string) { s.Outcome, s.Signal = drill.OutcomeFail, signal }
