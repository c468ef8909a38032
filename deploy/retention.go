package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Flags of the server that an installation keeps when it is repeated without them.
var keptFlags = []string{"--keep", "--keep-for"}

// keepFlags gives the server the flags that are set, and of the others those that it has.
func (i *installer) keepFlags(ctx context.Context, objects []*unstructured.Unstructured, set map[string]string) error {
	flags := map[string]string{}
	there, err := i.client.AppsV1().Deployments(namespace).Get(ctx, serverName, metav1.GetOptions{})
	switch {
	case err == nil && len(there.Spec.Template.Spec.Containers) > 0:
		for _, arg := range there.Spec.Template.Spec.Containers[0].Args {
			if name, value, ok := strings.Cut(arg, "="); ok {
				flags[name] = value
			}
		}
	case err != nil && !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err):
		return fmt.Errorf("read the server's flags: %w", err)
	}
	maps.Copy(flags, set)
	for _, object := range objects {
		if object.GetKind() != "Deployment" {
			continue
		}
		path := []string{"spec", "template", "spec", "containers"}
		containers, _, err := unstructured.NestedSlice(object.Object, path...)
		if err != nil || len(containers) == 0 {
			return fmt.Errorf("the Deployment has no container: %w", err)
		}
		server, ok := containers[0].(map[string]any)
		if !ok {
			return errors.New("the Deployment's container is no object")
		}
		args, _, _ := unstructured.NestedSlice(server, "args")
		for _, name := range keptFlags {
			if value, ok := flags[name]; ok {
				args = append(args, name+"="+value)
			}
		}
		server["args"] = args
		if err := unstructured.SetNestedSlice(object.Object, containers, path...); err != nil {
			return err
		}
	}
	return nil
}
