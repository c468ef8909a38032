package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/failoverdrill/drill/internal/kube"
)

// until polls a condition. The condition says what it is still waiting for; an error ends the wait.
func until(ctx context.Context, what string, done func(context.Context) (missing string, err error)) error {
	missing := ""
	var hopeless *hopeless
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		now, err := done(ctx)
		switch {
		case err == nil && now == "":
			return nil
		case err == nil:
			missing = now
		case errors.As(err, &hopeless):
			return err
		case ctx.Err() != nil: // what was missing before says more
		case kube.Retriable(err): // the API server may be busy with what was just applied
			missing = err.Error()
		default:
			return fmt.Errorf("wait for %s: %w", what, err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("%s did not come in time: %s", what, strings.TrimSuffix(missing, "."))
			}
			return context.Cause(ctx)
		}
	}
}

// namespaceUsable waits for the end of an earlier drill uninstall: nothing can be made in a namespace that is going.
func (i *installer) namespaceUsable(ctx context.Context) error {
	return until(ctx, "namespace "+namespace, func(ctx context.Context) (string, error) {
		ns, err := i.client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		if ns.Status.Phase == corev1.NamespaceTerminating {
			return "it is still being deleted", nil
		}
		return "", nil
	})
}

func (i *installer) established(ctx context.Context) error {
	return until(ctx, "custom resource "+crdName, func(ctx context.Context) (string, error) {
		crd, err := i.client.Dynamic.Resource(resources["CustomResourceDefinition"]).Get(ctx, crdName, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
		missing := "it is not established yet"
		for _, c := range conditions {
			condition, _ := c.(map[string]any)
			switch {
			case condition["type"] == "Established" && condition["status"] == "True":
				return "", nil
			case condition["type"] == "NamesAccepted" && condition["status"] == "False":
				missing = fmt.Sprint(condition["message"])
			}
		}
		return missing, nil
	})
}

// policed waits until the API server refuses what each policy must refuse. Until then anybody could borrow anybody's rights.
func (i *installer) policed(ctx context.Context, namespace string) error {
	err := until(ctx, "the admission policies", func(ctx context.Context) (string, error) {
		holes, err := kube.Prove(ctx, i.client, namespace)
		switch {
		case apierrors.IsNotFound(err):
			return "the API server does not serve " + crdName + " yet", nil
		case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "not yet synced"):
			return err.Error(), nil
		case err != nil:
			return "", err
		case len(holes) > 0:
			return holes[0].String(), nil
		}
		return "", nil
	})
	if err == nil {
		i.say("the admission policies are in force")
	}
	return err
}

// serving waits for the server, and gives up early when its pods show why it will not come.
func (i *installer) serving(ctx context.Context) error {
	trouble := &troubles{since: map[string]time.Time{}}
	err := until(ctx, "the server", func(ctx context.Context) (string, error) {
		d, err := i.client.AppsV1().Deployments(namespace).Get(ctx, serverName, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		want := *d.Spec.Replicas
		s := d.Status
		if s.ObservedGeneration >= d.Generation && s.UpdatedReplicas == want && s.Replicas == want && s.AvailableReplicas == want {
			return "", nil
		}
		seen := []string{fmt.Sprintf("%d of %d pods are ready", min(s.AvailableReplicas, s.UpdatedReplicas), want)}
		for _, c := range s.Conditions {
			if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
				if err := trouble.see(&kube.Trouble{Code: "create", Patience: 10 * time.Second, Text: "its pods cannot be made: " + c.Message}); err != nil {
					return "", err
				}
			}
		}
		pods, err := i.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(d.Spec.Selector)})
		if err != nil {
			return "", err
		}
		for n := range pods.Items {
			pod := &pods.Items[n]
			// Pods of an earlier version may be in trouble: that may be why there is a new one.
			if pod.DeletionTimestamp != nil || pod.Spec.Containers[0].Image != i.image {
				continue
			}
			if t := kube.PodTrouble(pod); t != nil {
				t.Text = "pod " + pod.Name + ": " + t.Text
				seen = append(seen, t.Text)
				if err := trouble.see(t); err != nil {
					return "", err
				}
			}
		}
		return strings.Join(seen, "; "), nil
	})
	if err == nil {
		i.say("the server runs: %s/%s, image %s", namespace, serverName, i.image)
	}
	return err
}

// hopeless is an error that waiting does not mend.
type hopeless struct{ text string }

func (e *hopeless) Error() string { return e.text }

// troubles tells lasting trouble from passing trouble.
type troubles struct{ since map[string]time.Time }

// see returns an error once a trouble has lasted longer than it may.
func (t *troubles) see(now *kube.Trouble) error {
	since, known := t.since[now.Code]
	if !known {
		t.since[now.Code] = time.Now()
		return nil
	}
	// A server may need a second start, when the API server is slow to let it in.
	if time.Since(since) < max(now.Patience, 10*time.Second) {
		return nil
	}
	return &hopeless{"the server does not start: " + now.Text + ". " + remedy(now.Code)}
}

func remedy(code string) string {
	switch code {
	case kube.TroubleImage:
		return "Load the image to the nodes, or name one that they can pull with --image"
	case kube.TroubleUnschedulable:
		return "Make room, or take away the taint"
	case "create":
		return "Look at the namespace's quota and admission policies"
	}
	return "See kubectl -n " + namespace + " logs deployment/" + serverName
}
