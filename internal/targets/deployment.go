package targets

import (
	"slices"
	"strings"
	"sync"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/schema"
)

// deploymentSpec is a target "deployment" block.
type deploymentSpec struct {
	Namespace string
	Selector  labels.Selector
	Service   string // empty: the one that selects the members
}

func deployment() Kind {
	return define(Kind{
		Name: "deployment",
		Doc:  "A stateless service whose members are pods behind a Service, all alike.",
		Example: `target "deployment" "checkout" {
  namespace = "shop"
  selector  = "app=checkout"
}
`,
		NoLedger: true,
		Attributes: []schema.Attribute{
			schema.Count("ready", "How many endpoints of the Service are ready."),
			schema.Count("desired", "How many there should be."),
			schema.Seconds("outage_seconds", "How long the present outage of the drill's first probe that stands for clients has lasted; 0 when there is none. A blip is none."),
			schema.Ratio("success_ratio", "The share of that probe's slots of the last 10 s that were answered in time."),
		},
	}, impl[deploymentSpec]{
		body: schema.Body[deploymentSpec]{
			Defaults: deploymentSpec{Selector: labels.Nothing()},
			Arguments: func(s *deploymentSpec) []schema.Argument {
				return append(membersArguments(&s.Namespace, &s.Selector),
					schema.String("service", &s.Service, "The Service whose ready endpoints count.", schema.Default("the one that selects the members"), schema.Check(kube.CheckService)))
			},
		},
		namespaces:  func(s deploymentSpec) []string { return []string{s.Namespace} },
		secrets:     func(deploymentSpec) []SecretRef { return nil },
		permissions: deploymentPermissions,
		bind:        bindDeployment,
	})
}

func deploymentPermissions(s deploymentSpec) []drill.Permission {
	var ps []drill.Permission
	add := func(group, resource string, verbs ...string) {
		for _, v := range verbs {
			ps = append(ps, drill.Permission{Verb: v, Group: group, Resource: resource, Namespace: s.Namespace})
		}
	}
	add("", "pods", "list", "watch")
	add("", "services", "get", "list")
	add("discovery.k8s.io", "endpointslices", "list", "watch")
	add("policy", "poddisruptionbudgets", "list", "watch")
	for _, controller := range []string{"deployments", "replicasets", "statefulsets"} {
		add("apps", controller, "get")
	}
	return ps
}

// Pods are the namespace and the label selector of the members.
func (s deploymentSpec) Pods() (namespace, selector string) { return s.Namespace, s.Selector.String() }

// stateless is a target of kind deployment.
type stateless struct {
	Deps
	name string
	spec deploymentSpec
	wake chan struct{} // something may have changed

	mu      sync.Mutex
	pods    map[string]*corev1.Pod
	slices  map[string]*discoveryv1.EndpointSlice
	budgets map[string]*policyv1.PodDisruptionBudget
	ports   []int32            // that the Service has led to; it names none while it leads nowhere
	owners  []owner            // who says how many are desired
	loose   int                // members that no controller answers for
	held    map[string][]*held // by pod UID: connections that were opened right before an injection
	desired int
}

func bindDeployment(d Deps, name string, spec deploymentSpec) Target {
	if d.Log == nil {
		d.Log = zap.NewNop()
	}
	return &stateless{Deps: d, name: name, spec: spec, wake: make(chan struct{}, 1)}
}

// Name is the target's name in the drill file.
func (t *stateless) Name() string { return t.name }

// Probes are none: the drill's own probes are its clients.
func (t *stateless) Probes() []drill.Probe { return nil }

func (t *stateless) refuse(code string, err error, format string, args ...any) error {
	return refuse(t.name, code, err, format, args...)
}

// members are the pods that can serve or will: not those that have ended, and not those on their way out.
func (t *stateless) members() []*corev1.Pod {
	t.mu.Lock()
	defer t.mu.Unlock()
	var live []*corev1.Pod
	for _, pod := range t.pods {
		if pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed && pod.DeletionTimestamp == nil {
			live = append(live, pod)
		}
	}
	slices.SortFunc(live, func(a, b *corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return live
}

// alike is a pod as a member; it has no role.
func alike(pod *corev1.Pod) drill.Member {
	return drill.Member{Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID), Node: pod.Spec.NodeName,
		Zone: pod.Labels[corev1.LabelTopologyZone], IP: pod.Status.PodIP, Role: drill.RoleUnknown}
}

// isReady reports whether a pod is Ready and not on its way out.
func isReady(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp != nil {
		return false
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
