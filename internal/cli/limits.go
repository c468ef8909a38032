package cli

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/faults"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/probes"
)

// asked is what limits of the cluster's owner bound and the drill's file says.
func asked(d *drill.Drill) kube.Asked {
	need := needsOf(d)
	a := kube.Asked{Timeout: d.Timeout, Namespaces: need.namespaces, Kinds: need.faults, Hosts: probedHosts(d)}
	for _, f := range d.Faults {
		a.Hold = max(a.Hold, holds(f.Spec))
	}
	return a
}

// probedHosts are the hosts that the drill's probes and its guard reach, as the file names them.
func probedHosts(d *drill.Drill) []string {
	var all []string
	add := func(host string) {
		if host != "" && !slices.Contains(all, host) {
			all = append(all, host)
		}
	}
	for _, p := range d.Probes {
		kind, _ := probes.Find(p.Kind)
		add(kind.Host(p.Spec))
	}
	if u, err := url.Parse(d.Guard.Prometheus); err == nil {
		add(u.Hostname())
	}
	return all
}

// changedNodes are the nodes that the plans change. A node that only holds an agent is not changed.
func changedNodes(plans []drill.FaultPlan) []string {
	var all []string
	for _, p := range plans {
		if p.Hold > 0 && !p.Prepares {
			all = append(all, p.Nodes...)
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(all)))
}

// victimsOf counts those of all plans, each once.
func victimsOf(plans []drill.FaultPlan) int {
	seen := map[string]bool{}
	for _, p := range plans {
		for _, v := range p.Victims {
			seen[v.UID] = true
		}
	}
	return len(seen)
}

// ownerLimits are the limits of the cluster's owner on a run that is under way. A nil *ownerLimits has none.
type ownerLimits struct {
	limits  kube.Limits
	reach   *kube.Reach
	members int                                            // of the target, when it was first asked
	count   func(nodes bool) (members, all int, err error) // the target's members, and the cluster's nodes when they matter
}

// within is what the run's connections may reach.
func (b *ownerLimits) within() *kube.Reach {
	if b == nil {
		return nil
	}
	return b.reach
}

// allows refuses plans that exceed the limits of the cluster's owner.
func (b *ownerLimits) allows(plans []drill.FaultPlan) error {
	if b == nil {
		return nil
	}
	changed := changedNodes(plans)
	members, nodes, err := b.count(len(changed) > 0)
	if err != nil {
		return fmt.Errorf("count what the limits of the cluster's owner are shares of: %w", err)
	}
	if b.members == 0 { // a later fault is planned while the victims of an earlier one are away
		b.members = members
	}
	return limited(b.limits.Overdone(kube.Hurt{Victims: victimsOf(plans), Members: b.members, Nodes: len(changed), AllOf: nodes}))
}

// limited is the refusal for limits that are exceeded, nil without.
func limited(exceeded []string) error {
	if len(exceeded) == 0 {
		return nil
	}
	return &drill.Refusal{Code: "limit", Text: "The drill exceeds a limit of this cluster: " + strings.Join(exceeded, "; ")}
}

// resolveWithin is how long the names of all hosts may take that a drill's probes reach.
const resolveWithin = 5 * time.Second

// ownerLimits reads the limits of the cluster's owner, and refuses a drill that exceeds them by its file alone. Limits that are
// there and cannot be read let no drill through.
//
// Only a runner pod is bounded in what it reaches: it is in drill's network, which the requester is not. With
// --runner=local the requester's own process connects, from where they can connect anyway.
func (x execution) ownerLimits(ctx context.Context, members func(ctx context.Context) ([]drill.Member, error)) (*ownerLimits, error) {
	limits, err := kube.ReadLimits(ctx, x.client, kube.Namespace)
	if err != nil {
		return nil, &drill.Refusal{Code: "limits_unread", Err: err, Text: "What the cluster's owner allows is not known"}
	}
	b := &ownerLimits{limits: limits, count: func(nodes bool) (int, int, error) {
		some, err := members(ctx)
		if err != nil || !nodes {
			return len(some), 0, err
		}
		all, err := nodeCount(ctx, x.client)
		return len(some), all, err
	}}
	a := asked(x.drill)
	if !x.inside {
		a.Hosts = nil
		return b, limited(limits.Exceeded(a))
	}
	if b.reach, err = kube.NewReach(ctx, x.client, limits); err != nil {
		return nil, &drill.Refusal{Code: "reach_unknown", Err: err, Text: "What the drill's probes may reach is not known"}
	}
	exceeded := limits.Exceeded(a)
	resolving, cancel := context.WithTimeout(ctx, resolveWithin) // and not ctx: b.count goes on with that
	defer cancel()
	for _, host := range a.Hosts {
		if err := b.reach.Resolve(resolving, host); err != nil && !slices.Contains(exceeded, err.Error()) {
			exceeded = append(exceeded, err.Error())
		}
	}
	return b, limited(exceeded)
}

// nodeCount counts the nodes of the cluster without reading them.
func nodeCount(ctx context.Context, client *kube.Client) (int, error) {
	list, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return 0, fmt.Errorf("count the nodes: %w", err)
	}
	n := len(list.Items)
	if list.RemainingItemCount != nil {
		n += int(*list.RemainingItemCount)
	}
	return n, nil
}

// knownKinds refuses kinds of fault that nobody can inject: a limit that is misspelt would allow nothing, or everything.
func knownKinds(limits kube.Limits) error {
	for ns, kinds := range limits.Kinds {
		for _, kind := range kinds {
			if _, ok := faults.Find(kind); !ok {
				return withCode(exitUsage, "--kinds %s=%s: there is no kind of fault %q. drill kinds lists them", ns, strings.Join(kinds, ","), kind)
			}
		}
	}
	return nil
}

// limits asks whether the drill keeps to the limits of the cluster's owner.
func (m *planner) limits(ctx context.Context) {
	limits, err := kube.ReadLimits(ctx, m.client, kube.Namespace)
	switch bad, broken := kube.AsLimitError(err); {
	case broken:
		m.broken("limit", "%s.", bad.Error())
		return
	case apierrors.IsForbidden(err):
		m.guard("limit", stateUnknown, "Whether the drill keeps to the limits of the cluster's owner: you may not read ConfigMap %s in namespace %s. The server and the runner ask.",
			kube.LimitsMap, kube.Namespace)
		return
	case err != nil:
		m.guard("limit", stateUnknown, "Whether the drill keeps to the limits of the cluster's owner: %v.", err)
		return
	}
	exceeded := limits.Exceeded(asked(m.drill))
	members, known := 0, true
	for _, t := range m.plan.Targets {
		members += len(t.Members)
	}
	whole := len(m.plans) == len(m.drill.Faults) && members > 0
	if whole {
		changed := changedNodes(m.plans)
		nodes, err := 0, error(nil)
		if len(changed) > 0 {
			if nodes, err = nodeCount(ctx, m.client); err != nil {
				m.guard("limit", stateUnknown, "Whether the drill keeps to the limit %s of the cluster's owner: %v. The runner asks.", kube.LimitNodeShare, err)
				changed, known = nil, false
			}
		}
		exceeded = append(exceeded, limits.Overdone(kube.Hurt{Victims: victimsOf(m.plans), Members: members, Nodes: len(changed), AllOf: nodes})...)
	}
	for _, one := range exceeded {
		m.broken("limit", "%s.", capital(one))
	}
	if len(exceeded) == 0 && known {
		m.guard("limit", stateHolds, "The drill keeps to the limits of the cluster's owner.")
	}
}

// capital is a text with a capital letter at its beginning.
func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
