package targets

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/failoverdrill/drill/internal/drill"
)

// knockTimeout is how long a member may take to accept a connection before it counts as gone.
const knockTimeout = 500 * time.Millisecond

// Open finds the members, how many there should be, the Service and the budgets. Nothing is made.
func (t *stateless) Open(ctx context.Context) ([]drill.Member, error) {
	members, _, err := t.Look(ctx)
	return members, err
}

// steady refuses a service that is not whole.
func (t *stateless) steady() error {
	now := t.readiness()
	if n := len(now.Ready); n < now.Desired {
		return t.refuse("not_steady", nil, "%d of %d pods are Ready. Wait until all are: a drill on a service that is already ill proves nothing", n, now.Desired)
	}
	if n := len(now.Endpoints); n < now.Desired {
		return t.refuse("not_steady", nil, "service %q has %d ready endpoints, and %d are desired. Wait until it leads to every member", t.spec.Service, n, now.Desired)
	}
	return nil
}

// Look finds the members by reading the cluster alone, and refuses a service that is not whole. Members have no roles, so
// there are no views of them.
func (t *stateless) Look(ctx context.Context) ([]drill.Member, *drill.Views, error) {
	if err := t.loadPods(ctx); err != nil {
		return nil, nil, err
	}
	pods := t.members()
	if len(pods) == 0 {
		return nil, nil, noMembers(ctx, t.Deps, t.name, t.spec.Namespace, t.spec.Selector.String())
	}
	for _, find := range []func(context.Context) error{t.findOwners, t.findService, t.loadSlices, t.loadBudgets} {
		if err := find(ctx); err != nil {
			return nil, nil, err
		}
	}
	if !t.leadsToMember(pods) {
		return nil, nil, t.refuse("wrong_service", nil, "service %q leads to none of the pods that %q selects. Set service to the one that clients use, or correct selector",
			t.spec.Service, t.spec.Selector)
	}
	return everyone(pods), nil, t.steady()
}

func everyone(pods []*corev1.Pod) []drill.Member {
	var ms []drill.Member
	for _, p := range pods {
		ms = append(ms, alike(p))
	}
	return ms
}

func (t *stateless) loadPods(ctx context.Context) error {
	pods, _, err := podsOf(t.Kube, t.spec.Namespace, t.spec.Selector.String(), nil).load(ctx)
	if err != nil {
		return t.refuse("cannot_read_cluster", err, "the pods of namespace %q cannot be read", t.spec.Namespace)
	}
	t.setPods(pods)
	return nil
}

func (t *stateless) loadSlices(ctx context.Context) error {
	all, _, err := slicesOf(t.Kube, t.spec.Namespace, t.spec.Service, nil).load(ctx)
	if err != nil {
		return t.refuse("cannot_read_cluster", err, "the endpoints of service %q cannot be read", t.spec.Service)
	}
	t.setSlices(all)
	return nil
}

func (t *stateless) loadBudgets(ctx context.Context) error {
	all, _, err := budgetsOf(t.Kube, t.spec.Namespace, nil).load(ctx)
	if err != nil {
		return t.refuse("cannot_read_cluster", err, "the PodDisruptionBudgets of namespace %q cannot be read", t.spec.Namespace)
	}
	t.setBudgets(all)
	return nil
}

// findService finds the Service whose endpoints count: the one that is named, else the only one that selects every
// member.
func (t *stateless) findService(ctx context.Context) error {
	services := t.Kube.CoreV1().Services(t.spec.Namespace)
	if t.spec.Service != "" {
		_, err := services.Get(ctx, t.spec.Service, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return t.refuse("no_service", nil, "there is no service %q in namespace %q. Correct service, or leave it out", t.spec.Service, t.spec.Namespace)
		}
		if err != nil {
			return t.refuse("cannot_read_cluster", err, "service %q cannot be read", t.spec.Service)
		}
		return nil
	}
	all, err := services.List(ctx, metav1.ListOptions{})
	if err != nil {
		return t.refuse("cannot_read_cluster", err, "the services of namespace %q cannot be read", t.spec.Namespace)
	}
	found := selecting(all.Items, t.members())
	switch len(found) {
	case 1:
		t.spec.Service = found[0]
		return nil
	case 0:
		return t.refuse("no_service", nil, "no service in namespace %q selects its pods. Set service to the one that clients use", t.spec.Namespace)
	}
	return t.refuse("ambiguous_service", nil, "services %s all select its pods. Set service to the one that clients use", list(found))
}

// selecting names the Services that select every one of the pods.
func selecting(services []corev1.Service, pods []*corev1.Pod) []string {
	var found []string
	for _, s := range services {
		if len(s.Spec.Selector) == 0 {
			continue // its endpoints are made by hand
		}
		selector := labels.SelectorFromSet(s.Spec.Selector)
		if !slices.ContainsFunc(pods, func(p *corev1.Pod) bool { return !selector.Matches(labels.Set(p.Labels)) }) {
			found = append(found, s.Name)
		}
	}
	slices.Sort(found)
	return found
}

func (t *stateless) leadsToMember(pods []*corev1.Pod) bool {
	for _, e := range t.readiness().Endpoints {
		if slices.ContainsFunc(pods, func(p *corev1.Pod) bool { return string(p.UID) == e.UID }) {
			return true
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.slices) > 0 && !slices.ContainsFunc(pods, isReady) // nobody to lead to yet
}

// owner is a controller that says how many pods there should be.
type owner struct{ kind, name string }

// findOwners finds who answers for the members.
func (t *stateless) findOwners(ctx context.Context) error {
	var owners []owner
	loose := 0
	for _, pod := range t.members() {
		o, ok, err := t.ownerOf(ctx, pod)
		switch {
		case err != nil:
			return t.refuse("cannot_read_cluster", err, "the controller of pod %s/%s cannot be read", pod.Namespace, pod.Name)
		case !ok:
			loose++
		case !slices.Contains(owners, o):
			owners = append(owners, o)
		}
	}
	t.mu.Lock()
	t.owners, t.loose = owners, loose
	t.mu.Unlock()
	if err := t.countDesired(ctx); err != nil {
		return t.refuse("cannot_read_cluster", err, "how many pods are desired cannot be read")
	}
	return nil
}

// ownerOf is the controller of a pod that has a number of replicas; false when there is none.
func (t *stateless) ownerOf(ctx context.Context, pod *corev1.Pod) (owner, bool, error) {
	c := metav1.GetControllerOf(pod)
	if c == nil {
		return owner{}, false, nil
	}
	switch c.Kind {
	case "StatefulSet":
		return owner{c.Kind, c.Name}, true, nil
	case "ReplicaSet":
		rs, err := t.Kube.AppsV1().ReplicaSets(pod.Namespace).Get(ctx, c.Name, metav1.GetOptions{})
		if err != nil {
			return owner{}, false, err
		}
		if d := metav1.GetControllerOf(rs); d != nil && d.Kind == "Deployment" {
			return owner{d.Kind, d.Name}, true, nil
		}
		return owner{c.Kind, c.Name}, true, nil
	}
	return owner{}, false, nil
}

// countDesired asks the controllers how many pods there should be; of those without one, as many as there are.
func (t *stateless) countDesired(ctx context.Context) error {
	t.mu.Lock()
	owners, desired := t.owners, t.loose
	t.mu.Unlock()
	apps := t.Kube.AppsV1()
	for _, o := range owners {
		var n *int32
		switch o.kind {
		case "Deployment":
			d, err := apps.Deployments(t.spec.Namespace).Get(ctx, o.name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			n = d.Spec.Replicas
		case "ReplicaSet":
			rs, err := apps.ReplicaSets(t.spec.Namespace).Get(ctx, o.name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			n = rs.Spec.Replicas
		case "StatefulSet":
			ss, err := apps.StatefulSets(t.spec.Namespace).Get(ctx, o.name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			n = ss.Spec.Replicas
		}
		if n == nil {
			desired++ // the API's default
			continue
		}
		desired += int(*n)
	}
	t.mu.Lock()
	t.desired = desired
	t.mu.Unlock()
	return nil
}

// Members are those that are there now and not on their way out.
func (t *stateless) Members(ctx context.Context) ([]drill.Member, error) {
	if err := t.loadPods(ctx); err != nil {
		return nil, err
	}
	return everyone(t.members()), nil
}

// Answers reports whether this very member still accepts new connections at its address, on any port that the Service
// leads to. An address that another pod was given since is not this member's any more.
func (t *stateless) Answers(ctx context.Context, m drill.Member) bool {
	if m.IP == "" {
		return false
	}
	dialer := net.Dialer{Timeout: knockTimeout}
	t.mu.Lock()
	ports := slices.Clone(t.ports)
	t.mu.Unlock()
	for _, port := range ports {
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(m.IP, strconv.Itoa(int(port))))
		if err == nil {
			conn.Close()
			return !t.taken(ctx, m)
		}
	}
	return false
}

// taken reports whether the member's address is another pod's now.
func (t *stateless) taken(ctx context.Context, m drill.Member) bool {
	l, err := t.Kube.CoreV1().Pods(m.Namespace).List(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("status.podIP", m.IP).String()})
	if err != nil {
		return false
	}
	return slices.ContainsFunc(l.Items, func(p corev1.Pod) bool {
		return string(p.UID) != m.UID && p.Status.PodIP == m.IP && !p.Spec.HostNetwork
	})
}

func (t *stateless) setPods(all map[string]*corev1.Pod) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pods = all
}

func (t *stateless) setSlices(all map[string]*discoveryv1.EndpointSlice) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.slices = all
	for _, s := range all {
		for _, p := range s.Ports {
			if p.Port != nil && (p.Protocol == nil || *p.Protocol == corev1.ProtocolTCP) && !slices.Contains(t.ports, *p.Port) {
				t.ports = append(t.ports, *p.Port)
			}
		}
	}
}

func (t *stateless) setBudgets(all map[string]*policyv1.PodDisruptionBudget) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.budgets = all
}

// rule is what a budget asks for, as its object says it.
func rule(b *policyv1.PodDisruptionBudget) string {
	switch s := b.Spec; {
	case s.MinAvailable != nil:
		return fmt.Sprintf("minAvailable %s", s.MinAvailable)
	case s.MaxUnavailable != nil:
		return fmt.Sprintf("maxUnavailable %s", s.MaxUnavailable)
	}
	return "no rule"
}
