package kube

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"

	"github.com/failoverdrill/drill/internal/drill"
)

// RunnerPod is the name of the pod that executes a run.
func RunnerPod(run string) string { return "run-" + run }

// Names of the containers that drill makes. A pod may have others, which somebody injected and nothing depends on.
const (
	RunnerContainer = "runner"
	AgentContainer  = "agent"
)

// RunnerEnded reports whether the runner's process in a pod has ended for good.
func RunnerEnded(pod *corev1.Pod) bool {
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return true
	}
	return slices.ContainsFunc(pod.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
		return c.Name == RunnerContainer && c.State.Terminated != nil
	})
}

// ours are the statuses of drill's own containers; all, when none is known by name.
func ours(pod *corev1.Pod) []corev1.ContainerStatus {
	var own []corev1.ContainerStatus
	for _, c := range pod.Status.ContainerStatuses {
		if c.Name == RunnerContainer || c.Name == AgentContainer {
			own = append(own, c)
		}
	}
	if own == nil {
		return pod.Status.ContainerStatuses
	}
	return own
}

// Trouble is why a pod does not start, or ended.
type Trouble struct {
	Code string // machine-readable, snake_case
	Text string
	// Patience is how long it may last before it is taken for what it looks like: an image may be pulled at the second
	// attempt, and a node may come back.
	Patience time.Duration
}

// Troubles' codes.
const (
	TroubleUnschedulable = "unschedulable"
	TroubleImage         = "image"
	TroubleContainer     = "container"
	TroubleFailed        = "failed"
)

// PodTrouble reads a pod's status; nil means that nothing is wrong with it so far.
func PodTrouble(pod *corev1.Pod) *Trouble {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return &Trouble{Code: TroubleUnschedulable, Patience: 20 * time.Second,
				Text: "no node takes it: " + strings.TrimSuffix(cmp.Or(c.Message, c.Reason), ".")}
		}
	}
	for _, c := range ours(pod) {
		switch {
		case c.State.Waiting != nil:
			if t := waitingTrouble(c.Image, c.State.Waiting); t != nil {
				return t
			}
		case c.State.Terminated != nil && c.State.Terminated.ExitCode != 0:
			return &Trouble{Code: TroubleFailed, Text: terminated(c.State.Terminated)}
		}
	}
	if pod.Status.Phase == corev1.PodFailed {
		return &Trouble{Code: TroubleFailed, Text: strings.TrimSuffix(strings.Join(
			strings.Fields(cmp.Or(pod.Status.Reason, "it failed")+" "+pod.Status.Message), " "), ".")}
	}
	return nil
}

func waitingTrouble(image string, w *corev1.ContainerStateWaiting) *Trouble {
	text := strings.TrimSuffix(drill.Clean(w.Reason+": "+w.Message), ":")
	switch w.Reason {
	case "ErrImagePull", "ImagePullBackOff":
		return &Trouble{Code: TroubleImage, Patience: 10 * time.Second, Text: fmt.Sprintf("its node has no image %s and cannot pull it (%s)", image, text)}
	case "InvalidImageName", "ErrImageNeverPull":
		return &Trouble{Code: TroubleImage, Text: fmt.Sprintf("image %s cannot be used (%s)", image, text)}
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff":
		return &Trouble{Code: TroubleContainer, Patience: 5 * time.Second, Text: "its container cannot be started (" + text + ")"}
	}
	return nil
}

func terminated(t *corev1.ContainerStateTerminated) string {
	s := fmt.Sprintf("its container ended with exit code %d (%s)", t.ExitCode, t.Reason)
	if line := lastLine(t.Message); line != "" {
		s += ": " + line
	}
	return s
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return drill.Clean(lines[len(lines)-1])
}

// Warnings are the messages of the newest warning events about an object, the newest last. Nothing depends on them, so
// a failure to read them is no error.
func Warnings(ctx context.Context, client kubernetes.Interface, namespace, kind, name string) []string {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	list, err := client.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: fields.Set{
		"involvedObject.kind": kind, "involvedObject.name": name, "type": corev1.EventTypeWarning}.String()})
	if err != nil {
		return nil
	}
	var messages []string
	for _, e := range list.Items {
		messages = append(messages, drill.Clean(e.Reason+": "+e.Message))
	}
	return messages[max(0, len(messages)-3):]
}
