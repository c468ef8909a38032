package server

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/kube"
)

// Where a runner pod finds out who it is.
const (
	EnvPodName      = "POD_NAME"
	EnvPodUID       = "POD_UID"
	EnvPodNamespace = "POD_NAMESPACE"
	EnvNodeName     = "NODE_NAME"
	EnvImage        = "DRILL_IMAGE"
)

const (
	// revertGrace is how long a runner that is told to stop has for putting everything back.
	revertGrace = 2 * time.Minute
	// deadlineMargin is how much longer than its drill's timeout a runner may live: it reverts and reads back after it.
	// It includes the half hour for which it tries to record its result when the API server is away.
	deadlineMargin = 45 * time.Minute
	// defaultTimeout stands in for a drill without one.
	defaultTimeout = 30 * time.Minute
)

// runnerPod is the pod that executes a run.
func runnerPod(o Options, run *kube.DrillRun, request Request) (*corev1.Pod, error) {
	affinity, err := avoid(request.Avoid)
	if err != nil {
		return nil, err
	}
	if request.Timeout == 0 {
		request.Timeout = defaultTimeout
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:      kube.RunnerPod(run.Name),
			Namespace: o.Namespace,
			// A sidecar would see the runner's own connections cut and delayed, and outlive it.
			Labels: kube.WithoutSidecars(map[string]string{"app.kubernetes.io/name": "drill", kube.LabelManagedBy: kube.ManagedBy,
				kube.LabelComponent: componentRunner, kube.LabelRun: run.Name}),
			Annotations: kube.NoSidecars(),
			OwnerReferences: []metav1.OwnerReference{{APIVersion: kube.Resource.GroupVersion().String(), Kind: kube.Kind,
				Name: run.Name, UID: run.UID, Controller: new(true)}},
		},
		Spec: corev1.PodSpec{
			ServiceAccountName: "drill-runner",
			RestartPolicy:      corev1.RestartPolicyNever,
			PriorityClassName:  kube.PriorityClass,
			// A runner that hangs is ended by its kubelet; then the server puts back what it left.
			ActiveDeadlineSeconds:         new(int64((request.Timeout + deadlineMargin).Seconds())),
			TerminationGracePeriodSeconds: new(int64(revertGrace.Seconds())),
			EnableServiceLinks:            new(false),
			Affinity:                      affinity,
			// The control plane's nodes are the ones that seldom hold a victim.
			Tolerations: []corev1.Toleration{{Key: "node-role.kubernetes.io/control-plane", Operator: corev1.TolerationOpExists,
				Effect: corev1.TaintEffectNoSchedule}},
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(true), RunAsUser: new(int64(65532)), RunAsGroup: new(int64(65532)),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Volumes:    inputsVolume(run),
			Containers: []corev1.Container{runnerContainer(o, run)},
		},
	}, nil
}

// InputsPath is where a runner pod finds what its run's record must not show.
const InputsPath = "/inputs"

// inputsVolume is the run's Secret. The runner's account may read no Secret in drill's namespace: it needs this one alone.
func inputsVolume(run *kube.DrillRun) []corev1.Volume {
	if run.Spec.Inputs.Secret == "" {
		return nil
	}
	return []corev1.Volume{{Name: "inputs", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: kube.InputsSecret(run.Name)}}}}
}

func runnerContainer(o Options, run *kube.DrillRun) corev1.Container {
	field := func(name, path string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}}
	}
	var mounts []corev1.VolumeMount
	for _, v := range inputsVolume(run) {
		mounts = append(mounts, corev1.VolumeMount{Name: v.Name, MountPath: InputsPath, ReadOnly: true})
	}
	return corev1.Container{
		Name:            kube.RunnerContainer,
		VolumeMounts:    mounts,
		Image:           o.Image,
		ImagePullPolicy: corev1.PullIfNotPresent,
		Args:            []string{"exec", run.Name},
		Env: []corev1.EnvVar{
			field(EnvPodName, "metadata.name"), field(EnvPodUID, "metadata.uid"),
			field(EnvPodNamespace, "metadata.namespace"), field(EnvNodeName, "spec.nodeName"),
			{Name: EnvStartDeadline, Value: o.StartDeadline.String()},
			{Name: EnvImage, Value: o.Image}, // the agents that it makes are of the same version
			// On a node of 64 cores the collector would use them all at once, and the target's pods would feel it.
			{Name: "GOMAXPROCS", Value: "4"},
			{Name: "GOMEMLIMIT", Value: "400MiB"},
		},
		Ports: []corev1.ContainerPort{{Name: "metrics", ContainerPort: 9090}},
		// No CPU limit: being throttled would look like an outage of the target.
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("64Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("512Mi")},
		},
		// What it says last is why it died.
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
	}
}

// avoid keeps the runner off the targets' nodes where there is another: a fault there would hit the one who measures it.
func avoid(targets []Pods) (*corev1.Affinity, error) {
	var terms []corev1.WeightedPodAffinityTerm
	for _, t := range targets {
		selector, err := metav1.ParseToLabelSelector(t.Selector)
		if err != nil {
			return nil, fmt.Errorf("selector %q of the target in namespace %s: %w", t.Selector, t.Namespace, err)
		}
		terms = append(terms, corev1.WeightedPodAffinityTerm{Weight: 100, PodAffinityTerm: corev1.PodAffinityTerm{
			LabelSelector: selector, Namespaces: []string{t.Namespace}, TopologyKey: corev1.LabelHostname}})
	}
	if len(terms) == 0 {
		return nil, nil
	}
	return &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: terms}}, nil
}

// kubeTerminal reports whether the runner's process has ended, also when a sidecar that somebody injected goes on.
func kubeTerminal(pod *corev1.Pod) bool { return kube.RunnerEnded(pod) }
