package kube

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// ProofName is the name of what is tried, always as a dry run. A policy that lets drill's own accounts do what it denies to
// all others denies this name to them, too.
const ProofName = "drill-policy-proof"

// Nobody is in whose name a proof asks.
const nobody = "failoverdrill.io:nobody"

// Hole is an admission policy that is not in force.
type Hole struct {
	Policy string // its name
	What   string // what the API server accepted, or that it does not know the policy any more
}

// String names the policy and what it should have refused.
func (h Hole) String() string { return h.Policy + ": the API server accepts " + h.What }

// proof tries what one policy must refuse. It goes by what the API server does, and by no object's text: a binding that
// only warns, or a condition that matches nothing, is a hole, too.
type proof struct {
	policy string
	what   string
	words  string // of the refusal, beside the policy's name
	scope  scope
	try    func(context.Context, *Client, string, Requester) error
}

type scope int

const (
	everywhere scope = iota
	inOwn            // the policy is for drill's own namespace alone
	ofServer         // and denies to drill's accounts what it grants to administrators
)

func proofs() []proof {
	return []proof{
		{"drillruns.failoverdrill.io", "a run in another's name", "spec.requester", everywhere, func(ctx context.Context, c *Client, ns string, _ Requester) error {
			return tryRun(ctx, c, ns, "drill-forged", Requester{User: nobody})
		}},
		{"status.failoverdrill.io", "a run of the name that this policy denies", ProofName, everywhere, func(ctx context.Context, c *Client, ns string, me Requester) error {
			return tryRun(ctx, c, ns, ProofName, me)
		}},
		{"sizes.failoverdrill.io", "a run with a name of a variable that is too long", "names of at most", everywhere, func(ctx context.Context, c *Client, ns string, me Requester) error {
			return tryRun(ctx, c, ns, "drill-too-large", me, strings.Repeat("n", maxVariableName+1))
		}},
		{"schedules.failoverdrill.io", "a scheduled drill in another's name", AnnotationUser, everywhere, func(ctx context.Context, c *Client, ns string, _ Requester) error {
			return tryMap(ctx, c, ns, metav1.ObjectMeta{Name: "drill-schedule-proof", Labels: map[string]string{LabelDrills: Scheduled}, Annotations: map[string]string{AnnotationUser: nobody}})
		}},
		{"books.failoverdrill.io", "a ConfigMap of the name that this policy denies", ProofName, inOwn, func(ctx context.Context, c *Client, ns string, _ Requester) error {
			return tryMap(ctx, c, ns, metav1.ObjectMeta{Name: ProofName})
		}},
		{"inputs.failoverdrill.io", "inputs that belong to no run", "", inOwn, func(ctx context.Context, c *Client, ns string, _ Requester) error {
			s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: ProofName}, Type: InputsType}
			_, err := c.CoreV1().Secrets(ns).Create(ctx, s, dryRun())
			return err
		}},
		{"held-members-map.failoverdrill.io", "a held member that has no namespace", "NAMESPACE.POD", inOwn, func(ctx context.Context, c *Client, ns string, _ Requester) error {
			return tryMap(ctx, c, ns, metav1.ObjectMeta{Name: "drill-held-members"}, "no-namespace")
		}},
		{"limits.failoverdrill.io", "limits from drill's own account", "", ofServer, func(ctx context.Context, c *Client, ns string, _ Requester) error {
			return tryMap(ctx, c, ns, metav1.ObjectMeta{Name: LimitsMap})
		}},
		{"pods.failoverdrill.io", "a pod that is no runner", ProofName, inOwn, func(ctx context.Context, c *Client, ns string, _ Requester) error {
			_, err := c.CoreV1().Pods(ns).Create(ctx, proofPod(), dryRun())
			return err
		}},
	}
}

// Policies are the names of the admission policies without which drill admits nothing.
func Policies() []string {
	var all []string
	for _, p := range proofs() {
		all = append(all, p.policy)
	}
	return all
}

// Prove tries, as dry runs, what each admission policy must refuse in a namespace, and returns those that did not. An error
// says that it could not be found out.
func Prove(ctx context.Context, c *Client, namespace string) ([]Hole, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*requestTimeout)
	defer cancel()
	me, err := c.WhoAmI(ctx)
	if err != nil {
		return nil, err
	}
	var holes []Hole
	for _, p := range proofs() {
		if p.scope != everywhere && namespace != Namespace || p.scope == ofServer && !strings.HasPrefix(me.User, "system:serviceaccount:"+Namespace+":") {
			continue
		}
		err := p.try(ctx, c, namespace, me)
		switch {
		case err == nil, apierrors.IsAlreadyExists(err): // past admission
			holes = append(holes, Hole{Policy: p.policy, What: p.what})
		case strings.Contains(err.Error(), "'"+p.policy+"'") && strings.Contains(err.Error(), p.words) && !apierrors.IsInternalError(err):
		default:
			return nil, fmt.Errorf("prove that the policy %s is in force: %w", p.policy, err)
		}
	}
	return holes, nil
}

func dryRun() metav1.CreateOptions { return metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}} }

func tryRun(ctx context.Context, c *Client, ns, name string, who Requester, variables ...string) error {
	values := map[string]any{}
	for _, v := range variables {
		values[v] = "1"
	}
	groups := make([]any, len(who.Groups))
	for i, g := range who.Groups {
		groups[i] = g
	}
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": Resource.GroupVersion().String(), "kind": Kind,
		"metadata": map[string]any{"name": name}, "spec": map[string]any{"drill": "none", "file": "none", "source": "none",
			"inputs": map[string]any{"variables": values}, "requester": map[string]any{"user": who.User, "groups": groups}}}}
	_, err := c.Dynamic.Resource(Resource).Namespace(ns).Create(ctx, u, dryRun())
	return err
}

func tryMap(ctx context.Context, c *Client, ns string, meta metav1.ObjectMeta, keys ...string) error {
	cm := &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{}}
	for _, k := range keys {
		cm.Data[k] = ""
	}
	_, err := c.CoreV1().ConfigMaps(ns).Create(ctx, cm, dryRun())
	return err
}

// proofPod is one that Pod Security lets in, so that what refuses it is drill's policy.
func proofPod() *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: ProofName}, Spec: corev1.PodSpec{
		ServiceAccountName: "drill-runner", AutomountServiceAccountToken: new(false), RestartPolicy: corev1.RestartPolicyNever,
		SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(true), RunAsUser: new(int64(65532)),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
		Containers: []corev1.Container{{Name: "none", Image: "none", SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: new(false),
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}}},
	}}
}
