package kube

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// serverName is the name of the server's Deployment, and of the Lease that its leader holds.
const serverName = "drill-server"

// ServerState is what the cluster says of drill's server. What the caller may not read is in Unknown.
type ServerState struct {
	Leader   string    `json:"leader,omitempty"` // the pod that leads; empty when none does
	Renewed  time.Time `json:"renewed,omitzero"` // when it said so last, by its own clock
	Image    string    `json:"image,omitempty"`
	Desired  int       `json:"desired"`
	Ready    int       `json:"ready"`
	Restarts int       `json:"restarts"` // of all its pods
	Trouble  []string  `json:"trouble,omitempty"`
	Unknown  []string  `json:"unknown,omitempty"`
}

// Leads reports whether a server leads, at a time by the API server's clock. A leader renews every two seconds.
func (s ServerState) Leads(now time.Time) bool {
	return s.Leader != "" && now.Sub(s.Renewed) < 30*time.Second
}

// ReadServer looks at drill's server. Not installed is a refusal.
func ReadServer(ctx context.Context, c *Client, namespace string) (ServerState, error) {
	var s ServerState
	deployment, err := c.AppsV1().Deployments(namespace).Get(ctx, serverName, metav1.GetOptions{})
	switch {
	case err == nil:
		s.Desired, s.Ready = 1, int(deployment.Status.ReadyReplicas)
		if deployment.Spec.Replicas != nil {
			s.Desired = int(*deployment.Spec.Replicas)
		}
		if containers := deployment.Spec.Template.Spec.Containers; len(containers) > 0 {
			s.Image = containers[0].Image
		}
	case apierrors.IsNotFound(err):
		s.Trouble = append(s.Trouble, "its Deployment is not there")
	default:
		if err := s.unknown("get deployments", err); err != nil {
			return s, err
		}
	}
	lease, err := c.CoordinationV1().Leases(namespace).Get(ctx, serverName, metav1.GetOptions{})
	switch {
	case err == nil:
		s.Leader = holder(lease)
		if lease.Spec.RenewTime != nil {
			s.Renewed = lease.Spec.RenewTime.Time
		}
	case apierrors.IsNotFound(err):
	default:
		if err := s.unknown("get leases", err); err != nil {
			return s, err
		}
	}
	pods, err := c.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{
		LabelSelector: labels.Set{"app.kubernetes.io/name": "drill", LabelComponent: "server"}.String()})
	if err != nil {
		return s, s.unknown("list pods", err)
	}
	for i := range pods.Items {
		s.pod(&pods.Items[i])
	}
	return s, nil
}

func (s *ServerState) pod(pod *corev1.Pod) {
	for _, c := range pod.Status.ContainerStatuses {
		s.Restarts += int(c.RestartCount)
	}
	if t := PodTrouble(pod); t != nil {
		s.Trouble = append(s.Trouble, fmt.Sprintf("pod %s: %s", pod.Name, t.Text))
	}
}

// unknown keeps what the caller may not ask; any other error is returned.
func (s *ServerState) unknown(right string, err error) error {
	if !apierrors.IsForbidden(err) {
		return fmt.Errorf("look at drill's server: %w", err)
	}
	s.Unknown = append(s.Unknown, "you may not "+right)
	return nil
}

// PolicyState is whether the admission policies are in force.
type PolicyState struct {
	InForce bool   `json:"in_force"`
	Known   bool   `json:"known"`
	Why     string `json:"why,omitempty"`
}

// ProvePolicy asks for a run in another's name, without storing it: the admission policy must refuse that. Who may make no
// runs cannot find out in this way.
func (s *Runs) ProvePolicy(ctx context.Context) PolicyState {
	run := &DrillRun{Spec: Spec{Drill: "policy-proof", File: "none", Source: "none",
		Requester: Requester{User: "failoverdrill.io:nobody"}}}
	run.Name, run.Namespace = "policy-proof", s.namespace
	u, err := run.unstructured()
	if err != nil {
		return PolicyState{Why: err.Error()}
	}
	_, err = s.records.Create(ctx, u, metav1.CreateOptions{FieldManager: ManagedBy, DryRun: []string{metav1.DryRunAll}})
	switch {
	case err == nil:
		return PolicyState{Known: true, Why: "a run in another's name is not refused. Apply the policies again: drill install"}
	case strings.Contains(err.Error(), "ValidatingAdmissionPolicy"):
		return PolicyState{Known: true, InForce: true}
	case apierrors.IsForbidden(err):
		return PolicyState{Why: "you may not create drillruns, which would prove it"}
	}
	return PolicyState{Why: err.Error()}
}
