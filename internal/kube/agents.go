package kube

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/failoverdrill/drill/internal/drill"
)

const (
	componentAgent = "agent"
	// agentGrace is how many seconds an agent that is told to end has for healing; it needs a few milliseconds.
	agentGrace = 2
	// agentStartWithin is how long agents may take to start; their image is on most nodes already.
	agentStartWithin = time.Minute
)

// Where an agent finds its certificate, and under which names.
const (
	AgentCertificates = "/certificates"
	AgentAuthority    = "ca.crt"
	AgentCert         = "tls.crt"
	AgentKey          = "tls.key"
)

// Agents are the agent pods of one fault.
type Agents struct {
	Run        string
	Image      string
	RunUID     types.UID
	Nodes      map[string]string // by the pod's name
	Generation int64
	Life       time.Duration // after which their kubelets end them
}

// OwnerOf is the reference by which the cluster removes what belongs to a run together with its record.
func OwnerOf(run *DrillRun) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: Resource.GroupVersion().String(), Kind: Kind, Name: run.Name, UID: run.UID}
}

// Start makes the agents' Secrets, of which each is called like its agent and no other agent can read it, and their pods, and returns each pod's address once all run. What it made stays when it
// fails: RemoveAgents takes it away.
func (a Agents) Start(ctx context.Context, client kubernetes.Interface, secrets map[string]map[string][]byte) (map[string]string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, agentStartWithin, fmt.Errorf("they did not start within %v", agentStartWithin))
	defer cancel()
	for name, node := range a.Nodes {
		s := &corev1.Secret{ObjectMeta: a.meta(name), Immutable: new(true), Data: secrets[name]}
		if _, err := client.CoreV1().Secrets(AgentNamespace).Create(ctx, s, metav1.CreateOptions{FieldManager: ManagedBy}); err != nil {
			return nil, fmt.Errorf("create Secret %s: %w", name, err)
		}
		_, err := client.CoreV1().Pods(AgentNamespace).Create(ctx, a.pod(name, node), metav1.CreateOptions{FieldManager: ManagedBy})
		if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) {
			return nil, &drill.Refusal{Code: "agent_refused", Err: err, Text: fmt.Sprintf("the agent cannot be made on node %s, by a quota or a policy", node)}
		}
		if err != nil {
			return nil, fmt.Errorf("create pod %s: %w", name, err)
		}
	}
	addresses := map[string]string{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	errs := make(chan error, len(a.Nodes))
	for name := range a.Nodes {
		wg.Go(func() {
			ip, err := awaitAgent(ctx, client, name)
			if err != nil {
				errs <- err
				return
			}
			mu.Lock()
			defer mu.Unlock()
			addresses[name] = ip
		})
	}
	wg.Wait()
	close(errs)
	return addresses, <-errs
}

// awaitAgent waits until the pod runs. What keeps it from that is for the cluster's owner to mend: nothing was touched.
func awaitAgent(ctx context.Context, client kubernetes.Interface, name string) (string, error) {
	var trouble *Trouble
	var since time.Time
	for {
		pod, err := client.CoreV1().Pods(AgentNamespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case err != nil && !Retriable(err):
			return "", fmt.Errorf("read pod %s: %w", name, err)
		case err == nil && pod.Status.Phase == corev1.PodRunning && pod.Status.PodIP != "":
			return pod.Status.PodIP, nil
		case err == nil:
			now := PodTrouble(pod)
			if trouble == nil || now == nil || now.Code != trouble.Code {
				since = time.Now()
			}
			if trouble = now; trouble != nil && time.Since(since) >= trouble.Patience {
				return "", &drill.Refusal{Code: "agent_failed", Text: fmt.Sprintf("agent %s did not start: %s", name, trouble.Text)}
			}
		}
		if !sleep(ctx, 200*time.Millisecond) {
			return "", &drill.Refusal{Code: "agent_failed", Err: context.Cause(ctx), Text: "agent " + name + " did not start"}
		}
	}
}

// RemoveAgents deletes the pods, which heal on the way out, waits until they are really gone, and deletes their Secrets.
// It may be repeated, by any process.
func RemoveAgents(ctx context.Context, client kubernetes.Interface, agents []string) error {
	return removeAgents(ctx, client, AgentNamespace, agents, agents)
}

// RemoveAgentsOf deletes those of a drill before agents had a namespace of their own, and one Secret for all.
func RemoveAgentsOf(ctx context.Context, client kubernetes.Interface, pods []string, secret string) error {
	return removeAgents(ctx, client, Namespace, pods, []string{secret})
}

func removeAgents(ctx context.Context, client kubernetes.Interface, namespace string, pods, secrets []string) error {
	errs := make([]error, len(pods), len(pods)+len(secrets))
	var wg sync.WaitGroup
	for i, name := range pods {
		wg.Go(func() { errs[i] = removeAgent(ctx, client, namespace, name) })
	}
	wg.Wait()
	for _, name := range secrets {
		if err := client.CoreV1().Secrets(namespace).Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("delete Secret %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

func removeAgent(ctx context.Context, client kubernetes.Interface, namespace, name string) error {
	pods := client.CoreV1().Pods(namespace)
	err := pods.Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(agentGrace))})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete pod %s: %w", name, err)
	}
	for {
		pod, err := pods.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if !sleep(ctx, 100*time.Millisecond) {
			node := "its node"
			if err == nil {
				node = "node " + pod.Spec.NodeName
			}
			return fmt.Errorf("agent pod %s is not gone: %s has not said so. Its rules ended with it, or a few seconds after the runner's last word: %w",
				name, node, context.Cause(ctx))
		}
	}
}

func (a Agents) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: AgentNamespace, Annotations: NoSidecars(),
		Labels: WithoutSidecars(map[string]string{"app.kubernetes.io/name": "drill", LabelManagedBy: ManagedBy, LabelComponent: componentAgent,
			LabelRun: a.Run, LabelRunUID: string(a.RunUID)})}
}

// pod is an agent on a node. It is bound to the node here, because no scheduler may have a say in where a fault is.
func (a Agents) pod(name, node string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: a.meta(name),
		Spec: corev1.PodSpec{
			NodeName:                      node,
			HostPID:                       true, // to find the pods' network namespaces
			RestartPolicy:                 corev1.RestartPolicyNever,
			PriorityClassName:             PriorityClass,
			AutomountServiceAccountToken:  new(false),
			EnableServiceLinks:            new(false),
			TerminationGracePeriodSeconds: new(int64(agentGrace)),
			ActiveDeadlineSeconds:         new(int64(a.Life.Seconds())),
			Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			SecurityContext:               &corev1.PodSecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Volumes: []corev1.Volume{{Name: "certificates", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
				SecretName: name, DefaultMode: new(int32(0o400))}}}},
			Containers: []corev1.Container{{
				Name: "agent", Image: a.Image, ImagePullPolicy: corev1.PullIfNotPresent,
				Args:         []string{"agent", "--run", a.Run, "--generation", fmt.Sprint(a.Generation)},
				Env:          []corev1.EnvVar{{Name: "GOMAXPROCS", Value: "2"}, {Name: "GOMEMLIMIT", Value: "48MiB"}},
				VolumeMounts: []corev1.VolumeMount{{Name: "certificates", MountPath: AgentCertificates, ReadOnly: true}},
				// No CPU limit: an agent that is throttled would lose its cut.
				Resources: corev1.ResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("16Mi")},
					Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")}},
				TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
				SecurityContext: &corev1.SecurityContext{
					RunAsUser: new(int64(0)), RunAsNonRoot: new(false), AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
					Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: []corev1.Capability{
						"SYS_PTRACE", // to open another user's process's /proc/PID/ns/net
						"SYS_ADMIN",  // to enter the network namespace
						"NET_ADMIN",  // to change nftables in it
					}}},
			}},
		},
	}
}
