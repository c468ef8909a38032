package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/faults"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/targets"
)

// planner finds out what a run would do. It reads, asks for rights, and does nothing else.
type planner struct {
	client *kube.Client
	drill  *drill.Drill
	hidden bool // the file took something from outside that travels in a Secret
	need   needs
	plan   *plan
	plans  []drill.FaultPlan
	live   drill.Live // what can be read without logging in to anything
}

// labelled is a target whose primary is whom the labels call so.
type labelled struct {
	members []drill.Member
	seen    bool
}

// errUnseen is why there is no plan of a fault whose target could not be looked at, which has been said.
var errUnseen = errors.New("its target is not whole, or could not be looked at; the end of this plan says which")

func (l labelled) Primary(context.Context) (drill.Member, error) {
	if !l.seen {
		return drill.Member{}, errUnseen
	}
	var found []drill.Member
	for _, m := range l.members {
		if m.Role == drill.RolePrimary {
			found = append(found, m)
		}
	}
	if len(found) != 1 {
		return drill.Member{}, &drill.Refusal{Code: "no_one_primary", Text: fmt.Sprintf("%d members are labelled primary, and there must be one", len(found))}
	}
	return found[0], nil
}

func (l labelled) Members(context.Context) ([]drill.Member, error) {
	if !l.seen {
		return nil, errUnseen
	}
	return l.members, nil
}

func (labelled) Answers(context.Context, drill.Member) bool { return false }

func (labelled) Connect(context.Context, drill.Member) {}

func (labelled) Connection(drill.Member) drill.Connection { return drill.Connection{} }

func makePlan(ctx context.Context, client *kube.Client, read *loaded) (*plan, error) {
	d := read.Drill
	p := newPlan(read)
	p.Cluster = client.Context
	m := &planner{client: client, drill: d, hidden: !read.secret.Empty() || len(read.open.Env)+len(read.open.Files) > 0, need: needsOf(d), plan: p, live: drill.Live{"target": {}, "probe": {}}}
	for _, step := range []func(context.Context) error{m.targets, m.faults, m.nodes, m.probes, m.guards, m.rights} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	m.rules()
	m.makes()
	p.Timing = timingOf(d, p.Faults)
	if p.Timing.Least > p.Timing.Timeout {
		p.unknown("Whether the timeout of %s is enough: the run takes %s at the least, from its steady state to the end of its observation. What the timeout cuts short is judged by what was seen.",
			span(p.Timing.Timeout), span(p.Timing.Least))
	}
	return p, nil
}

// refusal keeps what is a reason to refuse a run; anything else ends the plan.
func (m *planner) refusal(err error) error {
	if r, ok := errors.AsType[*drill.Refusal](err); ok {
		m.plan.refuse(r.Code, "%s", sentence(r.Error()))
		return nil
	}
	return err
}

// unseen keeps what you may not read: that hides something from you, and not from the runner.
func (m *planner) unseen(what string, err error) error {
	if apierrors.IsForbidden(err) {
		m.plan.unknown("%s: %s", what, sentence(err.Error()))
		return nil
	}
	return m.refusal(err)
}

// targets looks at every target, by reading the cluster alone.
func (m *planner) targets(ctx context.Context) error {
	x := execution{client: m.client, drill: m.drill, log: zap.NewNop()}
	for _, spec := range m.drill.Targets {
		kind, _ := targets.Find(spec.Kind)
		target := kind.Bind(targets.Deps{Run: "plan", Kube: m.client, Secret: x.secret}, spec.Name, spec.Spec)
		t := plannedTarget{Kind: spec.Kind, Name: spec.Name, Members: []drill.Member{}}
		members, views, err := target.Look(ctx)
		if members != nil {
			t.Members, t.Views = members, views
			if views != nil {
				views.Label, views.Service = slices.Concat([]string{}, views.Label), slices.Concat([]string{}, views.Service)
				views.Member = []string{} // nobody was asked
			}
		}
		if s, ok := target.(interface{ Serving() drill.Readiness }); ok && err == nil {
			now := s.Serving()
			t.Serving = &now
			m.live["target"][spec.Name] = map[string]float64{"ready": float64(len(now.Endpoints)), "desired": float64(now.Desired)}
		}
		t.seen = err == nil
		if err := m.unseen(fmt.Sprintf("Who the members of target %q are, and so whom the faults would hurt", spec.Name), err); err != nil {
			return err
		}
		if v := t.Views; v != nil && (len(v.Label) != 1 || len(v.Service) != 1 || v.Label[0] != v.Service[0]) {
			m.plan.refuse("views_disagree", "Target %q: the views do not agree on one primary: by label %s, by Service %s. Wait until they do, or correct service.",
				spec.Name, names(v.Label), names(v.Service))
		}
		m.plan.Targets = append(m.plan.Targets, t)
	}
	return nil
}

// target is a target as the faults see it in a plan.
func (m *planner) target(name string) (faults.Target, bool) {
	for _, t := range m.plan.Targets {
		if t.Name == name {
			return labelled{t.Members, t.seen}, true
		}
	}
	return nil, false
}

// faults plans each fault, on the cluster as it is now.
func (m *planner) faults(ctx context.Context) error {
	home := ""
	if len(m.drill.Targets) > 0 {
		kind, _ := targets.Find(m.drill.Targets[0].Kind)
		home = kind.Namespaces(m.drill.Targets[0].Spec)[0]
	}
	deps := faults.Deps{Run: "plan", Kube: m.client, Target: m.target, Targets: targetNames(m.drill.Targets), Namespace: home}
	at := drill.Seconds(0)
	for i, f := range m.drill.Faults {
		if i > 0 {
			at += drill.Seconds(f.After.Seconds())
		}
		kind, _ := faults.Find(f.Kind)
		planned := plannedFault{Kind: f.Kind, Name: f.Name, At: at, Victims: []drill.Member{}, Nodes: []string{}, Agents: []string{}, Beside: []string{}}
		_, fp, err := kind.Bind(deps, f.Name, f.Spec).Plan(ctx)
		if err != nil {
			planned.NotNow = sentence(err.Error())
			if err := m.unseen(fmt.Sprintf("Whom %s %q would hurt", f.Kind, f.Name), err); err != nil && !errors.Is(err, errUnseen) {
				return err
			}
		} else {
			m.plans = append(m.plans, fp)
			planned.Method, planned.Sentence, planned.Undo = fp.Method, fp.Sentence, fp.Undo
			planned.Hold, planned.Heals = drill.Seconds(fp.Hold.Seconds()), kind.Healing(fp)
			planned.Victims = slices.Concat(planned.Victims, fp.Victims)
			planned.Nodes = append(planned.Nodes, fp.Nodes...)
			planned.Beside = append(planned.Beside, fp.Beside...)
			if fp.Prepares {
				planned.Agents = slices.Concat(planned.Agents, fp.Nodes)
			}
		}
		m.plan.Faults = append(m.plan.Faults, planned)
	}
	return nil
}

// nodes reads the nodes that faults are on, and whose zone the pods do not say themselves.
func (m *planner) nodes(ctx context.Context) error {
	known := map[string]*corev1.Node{}
	list, err := m.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	switch {
	case apierrors.IsForbidden(err):
		m.plan.unknown("The nodes' UIDs, their zones, and whether they are cordoned: you may not list nodes.")
	case err != nil:
		return fmt.Errorf("list nodes: %w", err)
	default:
		for i := range list.Items {
			known[list.Items[i].Name] = &list.Items[i]
		}
	}
	zone := func(members []drill.Member) {
		for i := range members {
			if n := known[members[i].Node]; n != nil && members[i].Zone == "" {
				members[i].Zone = n.Labels[corev1.LabelTopologyZone]
			}
		}
	}
	for i := range m.plan.Targets {
		zone(m.plan.Targets[i].Members)
	}
	var on []string
	for i := range m.plan.Faults {
		zone(m.plan.Faults[i].Victims)
		for _, n := range m.plan.Faults[i].Nodes {
			if !slices.Contains(on, n) {
				on = append(on, n)
			}
		}
	}
	for _, name := range on {
		node := plannedNode{Name: name}
		if n := known[name]; n != nil {
			node.UID, node.Zone, node.Cordoned = string(n.UID), n.Labels[corev1.LabelTopologyZone], n.Spec.Unschedulable
		}
		m.plan.Nodes = append(m.plan.Nodes, node)
	}
	return nil
}

// probes lists the drill's own probes. Those that read the cluster are sampled once; all others are the runner's to ask.
func (m *planner) probes(ctx context.Context) error {
	x := execution{client: m.client, drill: m.drill, log: zap.NewNop()}
	all, err := x.probes()
	if err != nil {
		return m.refusal(err)
	}
	for _, probe := range all {
		info := probe.Info()
		m.plan.Probes = append(m.plan.Probes, plannedProbe{info.Kind, info.Name, inSeconds(info.Interval)})
		if info.Kind != "kubernetes" {
			continue
		}
		asking, cancel := context.WithTimeout(ctx, info.Deadline)
		var s drill.Sample
		probe.Sample(asking, &s)
		cancel()
		switch {
		case s.Outcome != drill.OutcomeOK:
			m.plan.unknown("What probe %q reads: asking for it failed (%s).", info.Name, s.Signal)
		case s.Valued:
			m.live["probe"][info.Name] = map[string]float64{info.Value: s.Value}
		}
	}
	return nil
}

// scopes are what a run locks.
func (m *planner) scopes() []string {
	var all []string
	for _, ns := range m.need.namespaces {
		if scope := "namespace/" + ns; !slices.Contains(all, scope) {
			all = append(all, scope)
		}
	}
	for _, n := range m.plan.Nodes {
		all = append(all, "node/"+n.Name)
	}
	return all
}

// makes lists what of drill's own there will be for the run.
func (m *planner) makes() {
	add := func(format string, args ...any) {
		m.plan.Makes = append(m.plan.Makes, fmt.Sprintf(format, args...))
	}
	add("In namespace %s: the run's record (a DrillRun), a runner pod, and a lock (a Lease) on each of %s.", kube.Namespace, strings.Join(m.scopes(), ", "))
	if m.hidden {
		add("In namespace %s: a Secret with what the file took from outside and is not shown. It belongs to the run's record.", kube.Namespace)
	}
	for _, f := range m.plan.Faults {
		if len(f.Agents) > 0 {
			add("In namespace %s, for %s %q: an agent pod on each of the nodes %s, before the steady state is waited for, and a Secret with the certificate of each.",
				kube.AgentNamespace, f.Kind, f.Name, strings.Join(f.Agents, ", "))
		}
	}
	for _, t := range m.drill.Targets {
		if kind, _ := targets.Find(t.Kind); !kind.NoLedger {
			add("In the database of target %q: a schema failoverdrill, the ledger of drill's writes. It is dropped at the end.", t.Name)
		}
	}
}

// sentence gives a text its full stop.
func sentence(text string) string {
	if text == "" || strings.ContainsAny(text[len(text)-1:], ".!?") {
		return text
	}
	return text + "."
}
