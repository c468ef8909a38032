package targets

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/failoverdrill/drill/internal/drill"
)

// cluster is what the API server says of the members.
type cluster struct {
	target string
	wake   chan struct{} // something may have changed

	mu     sync.Mutex
	roles  preset
	pods   map[string]*corev1.Pod
	slices map[string]*discoveryv1.EndpointSlice
	byIP   map[netip.Addr]instance // every address that a member has had: an old pod may still answer
}

// instance is the pod that has an address, or had it last.
type instance struct{ name, uid string }

func (c *cluster) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *cluster) setPods(pods map[string]*corev1.Pod) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pods = pods
	for name, pod := range pods {
		for _, address := range append([]corev1.PodIP{{IP: pod.Status.PodIP}}, pod.Status.PodIPs...) { // one of each family
			if ip, err := netip.ParseAddr(address.IP); err == nil {
				c.byIP[ip.Unmap()] = instance{name, string(pod.UID)}
			}
		}
	}
}

func (c *cluster) setSlices(s map[string]*discoveryv1.EndpointSlice) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slices = s
}

// had reports whether a member has the address, or had it.
func (c *cluster) had(ip netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.byIP[ip.Unmap()]
	return ok
}

// memberAt names the member with the address, or the address itself when no member has it.
func (c *cluster) memberAt(address string) instance {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return instance{name: address}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if o, ok := c.byIP[ip.Unmap()]; ok {
		return o
	}
	return instance{name: address}
}

// members are the pods that can be members: those of jobs that have ended carry an operator's labels too.
func (c *cluster) members() []*corev1.Pod {
	c.mu.Lock()
	defer c.mu.Unlock()
	var live []*corev1.Pod
	for _, pod := range c.pods {
		if pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
			live = append(live, pod)
		}
	}
	slices.SortFunc(live, func(a, b *corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return live
}

// live is the pod of a member that can be one.
func (c *cluster) live(name string) (*corev1.Pod, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pod, ok := c.pods[name]
	return pod, ok && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}

// port is where the members listen, which a Service may translate.
func (c *cluster) port(dsn uint16) uint16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ports []uint16
	for _, s := range c.slices {
		for _, p := range s.Ports {
			if p.Port != nil {
				ports = append(ports, uint16(*p.Port)) //nolint:gosec // the API server has checked the range
			}
		}
	}
	slices.Sort(ports)
	if ports = slices.Compact(ports); len(ports) == 1 {
		return ports[0]
	}
	return dsn
}

// views says whom each of the three calls primary.
func (c *cluster) views(own []string) drill.Views {
	v := drill.Views{Target: c.target, Label: []string{}, Service: []string{}, Member: own}
	for _, pod := range c.members() {
		if c.roles.leads(pod) {
			v.Label = append(v.Label, pod.Name)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.slices {
		for _, e := range s.Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				v.Service = append(v.Service, c.endpoint(e))
			}
		}
	}
	// A dual-stack Service has a slice per family.
	slices.Sort(v.Service)
	v.Service = slices.Compact(v.Service)
	slices.Sort(v.Member)
	return v
}

// endpoint names the member that an endpoint leads to, or its address.
func (c *cluster) endpoint(e discoveryv1.Endpoint) string {
	if e.TargetRef != nil {
		if _, ok := c.pods[e.TargetRef.Name]; ok && e.TargetRef.Kind == "Pod" {
			return e.TargetRef.Name
		}
	}
	for _, a := range e.Addresses {
		if ip, err := netip.ParseAddr(a); err == nil {
			if o, ok := c.byIP[ip.Unmap()]; ok {
				return o.name
			}
		}
	}
	return fmt.Sprint(e.Addresses)
}

// own is the members' own word on who is primary.
func (t *postgreSQL) own(now time.Time) []string {
	primaries := []string{}
	for _, p := range t.pinned {
		if p.role(now) == drill.RolePrimary {
			primaries = append(primaries, p.asks().name)
		}
	}
	return primaries
}

// Watch reports the three views at once and on every change.
func (t *postgreSQL) Watch(ctx context.Context, changed func(drill.Views)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var followers sync.WaitGroup
	defer followers.Wait()
	followers.Go(func() { follow(ctx, t.podSource(), t.Log, cancel) })
	followers.Go(func() { follow(ctx, t.sliceSource(), t.Log, cancel) })

	// A member that stops answering makes no event; its word runs out.
	expiry := time.NewTicker(pinnedInterval)
	defer expiry.Stop()
	last := t.cluster.views(t.own(time.Now()))
	changed(last)
	for {
		select {
		case <-ctx.Done():
			cancel(nil)
			followers.Wait()
			if err := context.Cause(ctx); apierrors.IsForbidden(err) {
				return fmt.Errorf("watch target %q: %w", t.name, err)
			}
			return nil
		case <-t.cluster.wake:
		case <-expiry.C:
		}
		if v := t.cluster.views(t.own(time.Now())); !sameViews(v, last) {
			last = v
			changed(v)
		}
	}
}

func sameViews(a, b drill.Views) bool {
	return slices.Equal(a.Label, b.Label) && slices.Equal(a.Service, b.Service) && slices.Equal(a.Member, b.Member)
}

func (t *postgreSQL) podSource() source[*corev1.Pod] {
	return podsOf(t.Kube, t.spec.Namespace, t.spec.Selector.String(), func(all map[string]*corev1.Pod) {
		t.cluster.setPods(all)
		t.followPods()
		t.cluster.poke()
	})
}

func (t *postgreSQL) sliceSource() source[*discoveryv1.EndpointSlice] {
	return slicesOf(t.Kube, t.spec.Namespace, t.spec.Service, func(all map[string]*discoveryv1.EndpointSlice) {
		t.cluster.setSlices(all)
		t.cluster.poke()
	})
}
