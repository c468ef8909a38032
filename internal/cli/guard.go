package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	promapi "github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// guardCheck is one guard of a drill, and whether it holds.
type guardCheck struct {
	What  string `json:"what"` // the argument of the guard block
	Holds bool   `json:"holds"`
	Why   string `json:"why"` // what was found, in a sentence
	// Unasked says that whoever knows could not be asked from here. Such a guard does not hold, and a runner in the cluster
	// may be able to ask.
	Unasked bool `json:"unasked,omitempty"`
}

// Arguments of the guard block.
const (
	guardNamespaces = "namespaces"
	guardMaxTargets = "max_targets"
	guardNoAlert    = "no_alert"
)

// checkGuards judges every guard that the drill has, over what it would touch.
func checkGuards(ctx context.Context, d *drill.Drill, plans []drill.FaultPlan) []guardCheck {
	return append(checkBounds(d, plans), checkAlerts(ctx, d.Guard, nil)...)
}

// checkBounds judges the guards that follow from the file and the plans alone.
func checkBounds(d *drill.Drill, plans []drill.FaultPlan) []guardCheck {
	var all []guardCheck
	if allowed := d.Guard.Namespaces; len(allowed) > 0 {
		c := guardCheck{What: guardNamespaces, Holds: true}
		touched := touchedNamespaces(d, plans)
		foreign := slices.DeleteFunc(slices.Clone(touched), func(ns string) bool { return slices.Contains(allowed, ns) })
		c.Why = fmt.Sprintf("The drill stays in %s.", quoted(touched))
		if len(foreign) > 0 {
			c.Holds = false
			c.Why = fmt.Sprintf("The drill would also look at or touch namespace %s, and the guard allows %s. Correct the drill, or add it to the guard's namespaces",
				quoted(foreign), quoted(allowed))
		}
		all = append(all, c)
	}
	if most := d.Guard.MaxTargets; most > 0 {
		c := guardCheck{What: guardMaxTargets}
		n, who := countVictims(plans)
		c.Holds = n <= most
		c.Why = fmt.Sprintf("The faults touch %d of the %d members that the guard allows.", n, most)
		if !c.Holds {
			c.Why = fmt.Sprintf("The faults would touch %d members (%s), and the guard allows %d. Let them touch fewer, or raise the guard's max_targets", n, who, most)
		}
		all = append(all, c)
	}
	return all
}

// countVictims counts each fault's victims anew, and names them: a later fault may meet another member than the one that
// was planned, because that one is gone by then.
func countVictims(plans []drill.FaultPlan) (n int, who string) {
	var all []string
	seen := map[string]bool{}
	for _, p := range plans {
		var names []string
		again := false
		for _, v := range p.Touched() {
			names = append(names, v.String())
			again = again || seen[v.UID]
			seen[v.UID] = true
		}
		text := fmt.Sprintf("%s: %s", p.Name, strings.Join(names, ", "))
		if again {
			text += ", or who is in its place by then"
		}
		n, all = n+len(names), append(all, text)
	}
	return n, strings.Join(all, "; ")
}

// touchedNamespaces are those in which a target, a probe, a fault or a victim is.
func touchedNamespaces(d *drill.Drill, plans []drill.FaultPlan) []string {
	need := needsOf(d)
	all := slices.Clone(need.namespaces)
	for _, s := range need.secrets {
		all = append(all, s.Namespace)
	}
	for _, p := range need.reads {
		if p.Namespace != "" {
			all = append(all, p.Namespace)
		}
	}
	for _, p := range plans {
		for _, v := range p.Touched() {
			all = append(all, v.Namespace)
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(all)))
}

func quoted(names []string) string {
	var all []string
	for _, n := range names {
		all = append(all, strconv.Quote(n))
	}
	return strings.Join(all, ", ")
}

// alertTimeout is how long Prometheus may take to say whether an alert fires.
const alertTimeout = 10 * time.Second

// checkAlerts asks Prometheus about each alert that must not fire. A server that cannot be asked lets no drill through:
// nobody knows then whether something is wrong already.
func checkAlerts(ctx context.Context, g drill.Guard, reach *kube.Reach) []guardCheck {
	var all []guardCheck
	for _, name := range g.NoAlert {
		c := guardCheck{What: guardNoAlert}
		switch firing, err := firingAlerts(ctx, g.Prometheus, name, reach); {
		case err != nil:
			c.Unasked = true
			c.Why = fmt.Sprintf("Whether the alert %s fires is not known, because Prometheus at %s could not be asked: %v. Check prometheus in the guard block",
				name, redacted(g.Prometheus), err)
		case len(firing) > 0:
			c.Why = fmt.Sprintf("The alert %s fires: %s. See to it first", name, strings.Join(firing, "; "))
		default:
			c.Holds, c.Why = true, fmt.Sprintf("The alert %s does not fire.", name)
		}
		all = append(all, c)
	}
	return all
}

// redacted is a URL without its password.
func redacted(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "the address given"
	}
	return u.Redacted()
}

// firingAlerts are the alerts of this name that fire now, each with its labels.
func firingAlerts(ctx context.Context, server, name string, reach *kube.Reach) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, alertTimeout)
	defer cancel()
	// Its own transport: no proxy of the environment answers in its place, and redirects are bounded as well.
	transport := &http.Transport{DialContext: reach.Bound(net.Dialer{}, nil).DialContext, DisableKeepAlives: true}
	client, err := promapi.NewClient(promapi.Config{Address: server, RoundTripper: transport})
	if err != nil {
		return nil, err
	}
	query := fmt.Sprintf(`ALERTS{alertname=%q,alertstate="firing"}`, name)
	value, warnings, _, err := promv1.NewAPI(client).Query(ctx, query, time.Time{})
	if request, ok := errors.AsType[*url.Error](err); ok {
		return nil, request.Err // the address has been told
	}
	if err != nil {
		return nil, err
	}
	if len(warnings) > 0 {
		return nil, fmt.Errorf("its answer may be incomplete: %s", strings.Join(warnings, "; "))
	}
	found, ok := value.(model.Vector)
	if !ok {
		return nil, fmt.Errorf("it answered with a %s instead of a vector", value.Type())
	}
	var firing []string
	for _, s := range found {
		delete(s.Metric, model.MetricNameLabel)
		delete(s.Metric, "alertname")
		delete(s.Metric, "alertstate")
		firing = append(firing, s.Metric.String())
	}
	slices.Sort(firing)
	return firing, nil
}

// guard bounds one run. It implements runner.Guard.
type guard struct {
	drill *drill.Drill
	owner *ownerLimits // the cluster's owner's
}

// Allows refuses plans that touch more than the guard, or the cluster's owner, allows.
func (g guard) Allows(plans []drill.FaultPlan) error {
	if err := refuse(checkBounds(g.drill, plans)); err != nil {
		return err
	}
	return g.owner.allows(plans)
}

// Quiet refuses while an alert fires that must not, and while nobody can say.
func (g guard) Quiet(ctx context.Context) error {
	return refuse(checkAlerts(ctx, g.drill.Guard, g.owner.within()))
}

// refuse is the refusal by every guard that does not hold.
func refuse(checks []guardCheck) error {
	var why []string
	for _, c := range checks {
		if !c.Holds {
			why = append(why, c.Why)
		}
	}
	if len(why) == 0 {
		return nil
	}
	return &drill.Refusal{Code: "guard", Text: strings.Join(why, ". ")}
}

// refuseUnavailable refuses a drill that asks for what this version cannot do, with every place where it does.
func refuseUnavailable(d *drill.Drill) error {
	if len(d.Unavailable) == 0 {
		return nil
	}
	return &drill.Refusal{Code: "not_available", Text: fmt.Sprintf("Drill %q asks for what this version of drill cannot do yet:\n  %s",
		d.Name, strings.Join(unavailable(d), "\n  "))}
}

// unavailable is what the drill asks for and this version cannot do, each with its place.
func unavailable(d *drill.Drill) []string {
	var all []string
	for _, u := range d.Unavailable {
		all = append(all, fmt.Sprintf("%s:%d: %s", u.File, u.Line, u.Text))
	}
	return all
}
