package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/agent"
	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

const (
	// agentMargin is how much longer than everything it is needed for an agent may live.
	agentMargin = 5 * time.Minute
	// connectWithin is how long an agent that runs may take to answer.
	connectWithin = 20 * time.Second
)

// Prepare puts an agent on every node that holds a pod of either side, connects to it, and shows that every path is open.
func (p *partitioner) Prepare(ctx context.Context, d Deps, st networkPartitionState) error {
	if d.Agents.Image == "" {
		return &drill.Refusal{Code: "no_agent_image", Text: "this fault needs agents on nodes, and no image for them is named. Run it in the cluster, or set DRILL_IMAGE"}
	}
	life := d.Agents.Timeout + st.hold() + agentMargin
	authority, err := agent.NewAuthority(st.Run, life)
	if err != nil {
		return err
	}
	secrets := map[string]map[string][]byte{} // one for each agent: it reads no neighbour's key
	for name := range st.Agents {
		c, err := authority.Issue(name)
		if err != nil {
			return err
		}
		secrets[name] = map[string][]byte{kube.AgentAuthority: authority.PEM(), kube.AgentCert: c.Cert, kube.AgentKey: c.Key}
	}
	addresses, err := kube.Agents{Run: st.Run, Image: d.Agents.Image, RunUID: d.Agents.Owner.UID, Nodes: st.Agents,
		Generation: d.Agents.Generation(), Life: life}.Start(ctx, d.Kube, secrets)
	if err != nil {
		return err
	}
	if err := p.connect(ctx, d, st, authority, addresses); err != nil {
		return err
	}
	return p.explore(ctx, d, st)
}

// connect reaches every agent.
func (p *partitioner) connect(ctx context.Context, d Deps, st networkPartitionState, authority *agent.Authority, addresses map[string]string) error {
	own, err := authority.Issue(agent.RunnerName)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	p.clients = map[string]*agent.Client{}
	var wg sync.WaitGroup
	errs := make([]error, 0, len(st.Agents))
	for name, node := range st.Agents {
		wg.Go(func() {
			c, err := reach(ctx, authority, own, agent.Target{Name: name, Run: st.Run, Generation: d.Agents.Generation,
				Address: net.JoinHostPort(addresses[name], strconv.Itoa(agent.Port))})
			p.mu.Lock()
			defer p.mu.Unlock()
			if err != nil {
				errs = append(errs, err)
				return
			}
			p.clients[node] = c
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return &drill.Refusal{Code: "agent_unreachable", Err: err, Text: "the runner does not reach its agents; pods' addresses must be reachable from where it runs"}
	}
	return nil
}

// reach tries until the agent answers: its pod runs a moment before it listens.
func reach(ctx context.Context, authority *agent.Authority, own agent.Certificate, t agent.Target) (*agent.Client, error) {
	for {
		c, err := authority.Connect(ctx, own, t)
		if err == nil || ctx.Err() != nil {
			return c, err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// explore finds the pods' network namespaces, starts an echo in each, and lists the paths between the sides.
func (p *partitioner) explore(ctx context.Context, d Deps, st networkPartitionState) error {
	p.listeners = map[string]netip.AddrPort{}
	err := p.each(func(node string, c *agent.Client) error {
		var pods []agent.Pod
		for _, one := range st.pods() {
			if one.Node != node {
				continue
			}
			pod, err := d.Kube.CoreV1().Pods(one.Namespace).Get(ctx, one.Name, metav1.GetOptions{})
			if err != nil {
				return fmt.Errorf("get %s: %w", one, err)
			}
			if string(pod.UID) != one.UID {
				return fmt.Errorf("%s: %w", one, drill.ErrVictimChanged)
			}
			pods = append(pods, agent.Pod{UID: one.UID, IP: one.IPs[0], Containers: containers(pod)})
		}
		if err := c.Prepare(ctx, pods); err != nil {
			return err
		}
		for _, pod := range pods {
			at, err := c.Listen(ctx, pod.UID)
			if err != nil {
				return err
			}
			p.mu.Lock()
			p.listeners[pod.UID] = at
			p.mu.Unlock()
		}
		return nil
	})
	if err != nil {
		return err
	}
	p.paths = nil
	for _, f := range st.From {
		for _, t := range st.To {
			p.add(f, p.listeners[t.UID], agent.Echo, t.String(), false)
			p.add(t, p.listeners[f.UID], agent.Echo, f.String(), false)
		}
		for _, at := range st.API {
			p.add(f, at, agent.HTTPS, "the API server", false)
		}
	}
	wrong, err := p.try(p.paths, func(one *path, c *agent.Client) (string, error) {
		r, err := c.Reach(ctx, one.Path, answerWithin)
		return one.unless(r.OK, r), err
	})
	if err == nil && len(wrong) > 0 {
		err = &drill.Refusal{Code: "path_closed", Text: "these paths are to be cut and do not work now, so that no cut could be shown: " + some(wrong)}
	}
	return err
}

func (p *partitioner) add(from partitionedPod, to netip.AddrPort, protocol agent.Protocol, what string, through bool) {
	p.paths = append(p.paths, newPath(from, to, protocol, what, through))
}

func newPath(from partitionedPod, to netip.AddrPort, protocol agent.Protocol, what string, through bool) *path {
	return &path{Path: agent.Path{Pod: from.UID, To: to, Protocol: protocol}, node: from.Node, through: through,
		what: fmt.Sprintf("from %s to %s at %s", from, what, to)}
}

// containers are the ids of a pod's containers, without the runtime's name.
func containers(pod *corev1.Pod) []string {
	var ids []string
	for _, s := range pod.Status.ContainerStatuses {
		if _, id, ok := strings.Cut(s.ContainerID, "://"); ok && s.State.Running != nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// services are the paths through those Services all of whose ready endpoints are on the other side. Which those are is
// looked up at the last moment.
func (p *partitioner) services(ctx context.Context, d Deps, st networkPartitionState) ([]*path, error) {
	var all []*path
	seen := map[string]bool{}
	for _, pod := range st.pods() {
		if seen[pod.Namespace] {
			continue
		}
		seen[pod.Namespace] = true
		services, err := d.Kube.CoreV1().Services(pod.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("list the Services in namespace %s: %w", pod.Namespace, err)
		}
		slices, err := d.Kube.DiscoveryV1().EndpointSlices(pod.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("list the EndpointSlices in namespace %s: %w", pod.Namespace, err)
		}
		for i := range services.Items {
			s := &services.Items[i]
			behind := readyBehind(s.Name, slices.Items)
			all = append(all, pathsThrough(s, behind, st.From, st.To)...)
			all = append(all, pathsThrough(s, behind, st.To, st.From)...)
		}
	}
	return all, nil
}

// readyBehind lists the addresses to which a Service sends connections now.
func readyBehind(service string, all []discoveryv1.EndpointSlice) []string {
	var ready []string
	for _, s := range all {
		if s.Labels[discoveryv1.LabelServiceName] != service {
			continue
		}
		for _, e := range s.Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				ready = append(ready, e.Addresses...)
			}
		}
	}
	return ready
}

func pathsThrough(s *corev1.Service, behind []string, from, to []partitionedPod) []*path {
	on := func(ip string) bool {
		return slices.ContainsFunc(to, func(p partitionedPod) bool {
			return slices.ContainsFunc(p.IPs, func(a netip.Addr) bool { return a.String() == ip })
		})
	}
	ip, err := netip.ParseAddr(s.Spec.ClusterIP)
	if err != nil || len(behind) == 0 || !all(behind, on) {
		return nil
	}
	var paths []*path
	for _, pod := range from {
		for _, port := range s.Spec.Ports {
			if port.Protocol == corev1.ProtocolTCP || port.Protocol == "" {
				one := newPath(pod, netip.AddrPortFrom(ip, uint16(port.Port)), agent.TCP, "Service "+s.Name, true)
				one.service = s.Name
				paths = append(paths, one)
			}
		}
	}
	return paths
}

func all(of []string, holds func(string) bool) bool {
	return !slices.ContainsFunc(of, func(s string) bool { return !holds(s) })
}
