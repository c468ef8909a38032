package faults

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/agent"
	"github.com/failoverdrill/drill/internal/drill"
)

func (p *partitioner) Plan(ctx context.Context, d Deps, name string, spec networkPartitionSpec) (networkPartitionState, drill.FaultPlan, error) {
	agents := agentPrefix(d.Run, name)
	st := networkPartitionState{Run: d.Run, Target: spec.TargetName(name, d.Targets), Direction: spec.Direction, Hold: spec.Duration.Seconds(),
		Agents: map[string]string{}}
	var err error
	if st.From, err = p.members(ctx, d, &st, spec.from); err != nil {
		return st, drill.FaultPlan{}, err
	}
	if st.To, err = p.members(ctx, d, &st, spec.to); err != nil {
		return st, drill.FaultPlan{}, err
	}
	if err := checkSides(st, spec); err != nil {
		return st, drill.FaultPlan{}, err
	}
	if spec.to.apiServer {
		if st.API, err = apiServer(ctx, d); err != nil {
			return st, drill.FaultPlan{}, err
		}
	}
	if err := checkSize(st); err != nil {
		return st, drill.FaultPlan{}, err
	}
	var nodes []string
	for _, pod := range st.pods() {
		if !slices.Contains(nodes, pod.Node) {
			nodes = append(nodes, pod.Node)
		}
	}
	slices.Sort(nodes)
	for i, node := range nodes {
		st.Agents[fmt.Sprintf("%s-%d", agents, i)] = node
	}
	plan := drill.FaultPlan{Method: "drop", Hold: spec.Duration, Nodes: nodes, Prepares: true, Sentence: sentence(st, nodes),
		Undo: fmt.Sprintf("The agents heal the cut after %s, or at once when the run ends early, and are deleted. Without a word from the runner for %s an agent heals by itself; "+
			"when an agent dies the kernel removes its rules at once, and when it hangs within %s. The pods themselves are not changed.", spec.Duration, agent.TTL, agent.TTL)}
	for _, pod := range st.From {
		plan.Victims = append(plan.Victims, pod.Member)
	}
	for _, pod := range st.To {
		plan.Others = append(plan.Others, pod.Member)
	}
	plan.Beside = p.beside(ctx, d, st)
	return st, plan, nil
}

// beside says what the cut does that its sides do not say.
func (p *partitioner) beside(ctx context.Context, d Deps, st networkPartitionState) []string {
	all := []string{"Every container of these pods is cut, also sidecars; kubelets, probes and everybody else's traffic go on."}
	through, err := p.services(ctx, d, st)
	if err != nil {
		return append(all, fmt.Sprintf("Which Services the cut goes through is not known: %v.", err))
	}
	var names []string
	for _, one := range through {
		if name := one.service; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		all = append(all, fmt.Sprintf("Service %s has all of its ready endpoints on one side: the other side loses it.", strings.Join(names, ", ")))
	}
	return all
}

// Bounds of a cut. Agents keep a connection open on each path; docs/faults/network_partition.md has what one takes.
const (
	maxSide  = 50
	maxPaths = 1000
)

// checkSize refuses a cut of more paths than agents can hold open.
func checkSize(st networkPartitionState) error {
	paths := 2*len(st.From)*len(st.To) + len(st.From)*len(st.API)
	if most := max(len(st.From), len(st.To)); most > maxSide || paths > maxPaths {
		return &drill.Refusal{Code: "cut_too_large", Text: fmt.Sprintf("the cut would have %d pods on one side and %d on the other, with %d paths between them; at most %d pods a side and %d paths can be shown to be cut. Choose fewer pods",
			len(st.From), len(st.To), paths, maxSide, maxPaths)}
	}
	return nil
}

// agentPrefix begins the names of a fault's agents. A run may have several partitions, and their names need not be such as
// a pod's must be.
func agentPrefix(run, fault string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(fault))
	return fmt.Sprintf("agent-%s-%04x", run, h.Sum32()&0xffff)
}

// sentence says what will be cut off from what.
func sentence(st networkPartitionState, nodes []string) string {
	list := func(pods []partitionedPod) []string {
		var all []string
		for _, p := range pods {
			s := p.String()
			if p.Role != "" {
				s += fmt.Sprintf(" (%s)", p.Role)
			}
			all = append(all, s)
		}
		return all
	}
	to := list(st.To)
	if len(st.API) > 0 {
		var at []string
		for _, a := range st.API {
			at = append(at, a.String())
		}
		to = append(to, "the API server ("+strings.Join(at, ", ")+")")
	}
	how := map[string]string{directionBoth: "in both directions", directionIn: "dropping what arrives from there", directionOut: "dropping what goes there"}
	return fmt.Sprintf("Cut %s off from %s, %s, for %s, by agents on %s", strings.Join(list(st.From), " and "), strings.Join(to, ", "),
		how[st.Direction], st.hold(), strings.Join(nodes, ", "))
}

// members finds the pods of a side.
func (p *partitioner) members(ctx context.Context, d Deps, st *networkPartitionState, s side) ([]partitionedPod, error) {
	if !s.pods() {
		return nil, nil
	}
	if s.selector != nil {
		namespace := s.namespace
		if namespace == "" {
			namespace = d.Namespace
		}
		list, err := d.Kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: s.selector.String()})
		if err != nil {
			return nil, fmt.Errorf("list the pods with %s in namespace %s: %w", s.selector, namespace, err)
		}
		var all []partitionedPod
		for i := range list.Items {
			if pod := &list.Items[i]; pod.DeletionTimestamp == nil && pod.Status.Phase == corev1.PodRunning {
				one, err := partitioned(pod, "")
				if err != nil {
					return nil, err
				}
				all = append(all, one)
			}
		}
		if len(all) == 0 {
			return nil, &drill.Refusal{Code: "no_pods", Text: fmt.Sprintf("no running pod in namespace %s has the labels %s", namespace, s.selector)}
		}
		return all, nil
	}
	return p.byRole(ctx, d, st, s.role)
}

func (p *partitioner) byRole(ctx context.Context, d Deps, st *networkPartitionState, role string) ([]partitionedPod, error) {
	target, ok := d.Target(st.Target)
	if !ok {
		return nil, fmt.Errorf("no target is called %q", st.Target)
	}
	members, err := target.Members(ctx)
	if err != nil {
		return nil, err
	}
	primary := ""
	if role != roleAny {
		m, err := d.primary(ctx, st.Target)
		if err != nil {
			return nil, err
		}
		primary, st.Primary = m.UID, m.UID
	}
	var all []partitionedPod
	for _, m := range members {
		if role == string(drill.RolePrimary) && m.UID != primary || role == string(drill.RoleReplica) && m.UID == primary {
			continue
		}
		pod, err := d.Kube.CoreV1().Pods(m.Namespace).Get(ctx, m.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && string(pod.UID) != m.UID {
			return nil, &drill.Refusal{Code: "victim_changed", Text: m.String() + " was replaced while the run was being planned"}
		}
		if err != nil {
			return nil, fmt.Errorf("get %s: %w", m, err)
		}
		one, err := partitioned(pod, m.Role)
		if err != nil {
			return nil, err
		}
		one.Zone = m.Zone
		if primary != "" && m.UID == primary {
			one.Role = drill.RolePrimary
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		return nil, &drill.Refusal{Code: "no_pods", Text: fmt.Sprintf("target %q has no member with the role %s", st.Target, role)}
	}
	return all, nil
}

// partitioned is a pod as a side of a cut sees it. One on its node's network cannot be cut without cutting the node.
func partitioned(pod *corev1.Pod, role drill.Role) (partitionedPod, error) {
	p := partitionedPod{Member: drill.Member{Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID), Node: pod.Spec.NodeName, Role: role}}
	if pod.Spec.HostNetwork {
		return p, &drill.Refusal{Code: "host_network", Text: fmt.Sprintf("%s uses the network of node %s: cutting it would cut the node", p, p.Node)}
	}
	for _, ip := range pod.Status.PodIPs {
		if a, err := netip.ParseAddr(ip.IP); err == nil {
			p.IPs = append(p.IPs, a)
		}
	}
	if len(p.IPs) == 0 {
		return p, &drill.Refusal{Code: "no_address", Text: fmt.Sprintf("%s has no address yet", p)}
	}
	return p, nil
}

// checkSides refuses sides that have pods in common.
func checkSides(st networkPartitionState, spec networkPartitionSpec) error {
	var both []string
	for _, f := range st.From {
		if slices.ContainsFunc(st.To, func(t partitionedPod) bool { return t.UID == f.UID }) {
			both = append(both, f.String())
		}
	}
	if len(both) > 0 {
		return &drill.Refusal{Code: "sides_overlap", Text: fmt.Sprintf("%s would be on both sides of the cut; change from or to", strings.Join(both, " and "))}
	}
	if len(st.From) == 0 || len(st.To) == 0 && !spec.to.apiServer {
		return &drill.Refusal{Code: "side_empty", Text: "one side of the cut has no pods"}
	}
	return nil
}

// apiServer finds where pods reach the API server: its Service, and what is behind it.
func apiServer(ctx context.Context, d Deps) ([]netip.AddrPort, error) {
	service, err := d.Kube.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("get the API server's Service: %w", err)
	}
	var all []netip.AddrPort
	add := func(ip string, port int32) {
		if a, err := netip.ParseAddr(ip); err == nil {
			all = append(all, netip.AddrPortFrom(a, uint16(port)))
		}
	}
	for _, ip := range service.Spec.ClusterIPs {
		for _, port := range service.Spec.Ports {
			add(ip, port.Port)
		}
	}
	slice, err := d.Kube.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("get the API server's endpoints: %w", err)
	}
	for _, e := range slice.Endpoints {
		for _, ip := range e.Addresses {
			for _, port := range slice.Ports {
				if port.Port != nil {
					add(ip, *port.Port)
				}
			}
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("the API server's Service has no address")
	}
	return all, nil
}
