package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// DeleteOptions say how to uninstall.
type DeleteOptions struct {
	Force   bool          // even while a run is in progress, whose faults are then left as they are
	Out     io.Writer     // progress, for people; nil for none
	Timeout time.Duration // for everything to be gone; 90 s when 0
}

// Delete takes drill out of the cluster: the server, the records, the locks, every right that it was given. It leaves the
// policy that keeps members down, with its binding: it denies nothing where its ConfigMap is missing, and when the last
// policy that reads ConfigMaps goes, an API server (seen with 1.36) reads none for a later one until it is started anew.
func Delete(ctx context.Context, client *kube.Client, o DeleteOptions) error {
	objects, err := Manifests("none")
	if err != nil {
		return err
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	u := &uninstaller{installer{client: client, out: o.Out}}
	if err := u.idle(ctx, o.Force); err != nil {
		return err
	}
	// The server first, and the records and the namespace last, so that nothing starts meanwhile.
	slices.Reverse(objects)
	var namespaces []*unstructured.Unstructured
	var crd *unstructured.Unstructured
	for _, object := range objects {
		switch object.GetKind() {
		case "Namespace":
			namespaces = append(namespaces, object)
		case "CustomResourceDefinition":
			crd = object
		default:
			if object.GetName() == kube.HeldPolicy {
				u.say("left %s, which does nothing without drill", describe(object))
				continue
			}
			if err := u.delete(ctx, object); err != nil {
				return err
			}
			if object.GetKind() == "Deployment" {
				if err := u.serverGone(ctx); err != nil {
					return err
				}
			}
		}
	}
	if err := u.allowances(ctx); err != nil {
		return err
	}
	if err := u.letGo(ctx); err != nil {
		return err
	}
	last := append([]*unstructured.Unstructured{crd}, namespaces...)
	for _, object := range last {
		if err := u.delete(ctx, object); err != nil {
			return err
		}
	}
	return u.gone(ctx, last...)
}

type uninstaller struct{ installer }

// runs lists the records, of which there are none when the custom resource is not there.
func (u *uninstaller) runs(ctx context.Context) ([]*kube.DrillRun, error) {
	runs, err := kube.NewRuns(u.client.Dynamic, namespace).List(ctx)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return runs, err
}

func (u *uninstaller) idle(ctx context.Context, force bool) error {
	runs, err := u.runs(ctx)
	if err != nil {
		return err
	}
	var busy []string
	for _, run := range runs {
		switch {
		case !run.Finished():
			busy = append(busy, run.Name)
		case len(run.Unreverted()) > 0:
			// The record says how to revert it, and is about to be deleted.
			busy = append(busy, run.Name+" (not everything of it is reverted)")
		}
	}
	if len(busy) == 0 {
		return nil
	}
	if !force {
		return &drill.Refusal{Code: "run_in_progress", Text: fmt.Sprintf(
			"runs are in progress: %s. Wait for their end or cancel them; with --force what they broke stays broken", strings.Join(busy, ", "))}
	}
	u.say("forced: what these runs broke stays as it is: %s", strings.Join(busy, ", "))
	return nil
}

func (u *uninstaller) delete(ctx context.Context, object *unstructured.Unstructured) error {
	background := metav1.DeletePropagationBackground
	err := resource(u.client.Dynamic, object).Delete(ctx, object.GetName(), metav1.DeleteOptions{PropagationPolicy: &background})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete %s: %w", describe(object), err)
	}
	u.say("deleted %s", describe(object))
	return nil
}

// serverGone waits for the server's end, because it would put the finalizers back.
func (u *uninstaller) serverGone(ctx context.Context) error {
	selector := labels.Set{"app.kubernetes.io/name": "drill", kube.LabelComponent: "server"}.String()
	return until(ctx, "the server's end", func(ctx context.Context) (string, error) {
		pods, err := u.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil || len(pods.Items) == 0 {
			return "", err
		}
		return "pod " + pods.Items[0].Name + " is still there", nil
	})
}

// allowances deletes the RoleBindings in the namespaces that were allowed.
func (u *uninstaller) allowances(ctx context.Context) error {
	bindings, err := u.client.RbacV1().RoleBindings("").List(ctx, metav1.ListOptions{
		LabelSelector: labels.Set{kube.LabelManagedBy: kube.ManagedBy}.String()})
	if err != nil {
		return fmt.Errorf("list the namespaces that were allowed: %w", err)
	}
	for _, b := range bindings.Items {
		if b.Name != targetRole || b.RoleRef.Name != targetRole {
			continue
		}
		if err := u.delete(ctx, allowance(b.Namespace)); err != nil {
			return err
		}
	}
	return nil
}

// letGo takes the finalizers off the records: there is no server any more that would. The custom resource goes only when
// the last record is gone, in whichever namespace somebody made it.
func (u *uninstaller) letGo(ctx context.Context) error {
	list, err := u.client.Dynamic.Resource(kube.Resource).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list the records: %w", err)
	}
	var all []error
	for _, record := range list.Items {
		if !slices.Contains(record.GetFinalizers(), kube.Finalizer) {
			continue
		}
		runs := kube.NewRuns(u.client.Dynamic, record.GetNamespace())
		run, err := runs.Get(ctx, record.GetName())
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			all = append(all, err)
		default:
			all = append(all, runs.SetFinalizer(ctx, run, false))
		}
	}
	return errors.Join(all...)
}

func (u *uninstaller) gone(ctx context.Context, objects ...*unstructured.Unstructured) error {
	for _, object := range objects {
		err := until(ctx, "the end of "+describe(object), func(ctx context.Context) (string, error) {
			_, err := resource(u.client.Dynamic, object).Get(ctx, object.GetName(), metav1.GetOptions{})
			switch {
			case apierrors.IsNotFound(err):
				return "", nil
			case err != nil:
				return "", err
			}
			return "it is still being deleted", nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
