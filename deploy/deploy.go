// Package deploy puts drill into a cluster and takes it out again.
package deploy

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

//go:embed manifests/*.yaml
var manifests embed.FS

// Options say what to install.
type Options struct {
	Image   string        // of drill itself: the server's and the runner pods'
	Allow   []string      // namespaces in which runners may act; those allowed earlier stay so
	Out     io.Writer     // progress, for people; nil for none
	Timeout time.Duration // for everything to be ready; 90 s when 0

	Flags  map[string]string // of the server, such as --keep, to set; those that are not named stay as they are
	Limits map[string]string // of the cluster's owner, to set; those that are not named stay as they are
}

const (
	namespace      = kube.Namespace
	serverName     = "drill-server"
	targetRole     = "drill-runner-target"
	podsPolicy     = "pods.failoverdrill.io"
	crdName        = "drillruns.failoverdrill.io"
	pollEvery      = 500 * time.Millisecond
	defaultTimeout = 90 * time.Second
)

// resources maps the kinds in the manifests to their resources. A discovery would be a lookup of what we wrote ourselves.
var resources = map[string]schema.GroupVersionResource{
	"Namespace":                        {Version: "v1", Resource: "namespaces"},
	"ServiceAccount":                   {Version: "v1", Resource: "serviceaccounts"},
	"Service":                          {Version: "v1", Resource: "services"},
	"ConfigMap":                        {Version: "v1", Resource: "configmaps"},
	"CustomResourceDefinition":         {Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"},
	"PriorityClass":                    {Group: "scheduling.k8s.io", Version: "v1", Resource: "priorityclasses"},
	"ResourceQuota":                    {Version: "v1", Resource: "resourcequotas"},
	"NetworkPolicy":                    {Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
	"PodDisruptionBudget":              {Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"},
	"Role":                             {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"},
	"RoleBinding":                      {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"},
	"ClusterRole":                      {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"},
	"ClusterRoleBinding":               {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"},
	"ValidatingAdmissionPolicy":        {Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicies"},
	"ValidatingAdmissionPolicyBinding": {Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicybindings"},
	"Deployment":                       {Group: "apps", Version: "v1", Resource: "deployments"},
}

// Manifests are the objects that make up an installation, in the order in which they are applied.
func Manifests(image string, allow ...string) ([]*unstructured.Unstructured, error) {
	entries, err := manifests.ReadDir("manifests")
	if err != nil {
		return nil, fmt.Errorf("read the manifests: %w", err)
	}
	var objects []*unstructured.Unstructured
	for _, entry := range entries {
		text, err := manifests.ReadFile("manifests/" + entry.Name())
		if err != nil {
			return nil, fmt.Errorf("read the manifests: %w", err)
		}
		for document := range strings.SplitSeq(string(text), "\n---\n") {
			object := new(unstructured.Unstructured)
			if err := yaml.UnmarshalStrict([]byte(document), &object.Object); err != nil {
				return nil, fmt.Errorf("read %s: %w", entry.Name(), err)
			}
			if object.GetKind() == "ValidatingAdmissionPolicy" && object.GetName() == podsPolicy {
				if err := setImages(object, image); err != nil {
					return nil, fmt.Errorf("read %s: %w", entry.Name(), err)
				}
			}
			if object.GetKind() == "Deployment" {
				if err := setImage(object, image); err != nil {
					return nil, fmt.Errorf("read %s: %w", entry.Name(), err)
				}
			}
			objects = append(objects, object)
		}
	}
	for _, ns := range allow {
		objects = append(objects, allowance(ns))
	}
	for _, object := range objects {
		labels := object.GetLabels()
		if labels == nil {
			labels = map[string]string{}
		}
		labels["app.kubernetes.io/name"], labels[kube.LabelManagedBy] = "drill", kube.ManagedBy
		object.SetLabels(labels)
	}
	return objects, nil
}

func setImage(deployment *unstructured.Unstructured, image string) error {
	path := []string{"spec", "template", "spec", "containers"}
	containers, _, err := unstructured.NestedSlice(deployment.Object, path...)
	if err != nil || len(containers) != 1 {
		return fmt.Errorf("the Deployment has not one container: %w", err)
	}
	server, ok := containers[0].(map[string]any)
	if !ok {
		return errors.New("the Deployment's container is no object")
	}
	server["image"] = image
	env, _, _ := unstructured.NestedSlice(server, "env")
	for _, e := range env {
		if v, ok := e.(map[string]any); ok && v["name"] == "DRILL_IMAGE" {
			v["value"] = image
		}
	}
	server["env"] = env
	return unstructured.SetNestedSlice(deployment.Object, containers, path...)
}

// setImages says in the policy for pods of which images drill's pods may be.
func setImages(policy *unstructured.Unstructured, images ...string) error {
	variables, _, err := unstructured.NestedSlice(policy.Object, "spec", "variables")
	if err != nil {
		return fmt.Errorf("policy %s: %w", podsPolicy, err)
	}
	quoted := make([]string, len(images))
	for i, image := range images {
		quoted[i] = strconv.Quote(image)
	}
	for _, v := range variables {
		if variable, ok := v.(map[string]any); ok && variable["name"] == "images" {
			variable["expression"] = "[" + strings.Join(quoted, ", ") + "]"
			return unstructured.SetNestedSlice(policy.Object, variables, "spec", "variables")
		}
	}
	return fmt.Errorf("policy %s has no variable for its images", podsPolicy)
}

// allowBefore lets pods of the image that is installed be made, beside the new one's: a run of it may be in flight.
func (i *installer) allowBefore(ctx context.Context, objects []*unstructured.Unstructured) error {
	d, err := i.client.AppsV1().Deployments(namespace).Get(ctx, serverName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read deployment %s: %w", serverName, err)
	}
	before := d.Spec.Template.Spec.Containers[0].Image
	for _, object := range objects {
		if object.GetName() == podsPolicy && object.GetKind() == "ValidatingAdmissionPolicy" && before != i.image {
			return setImages(object, i.image, before)
		}
	}
	return nil
}

// allowance lets runners act in a namespace.
func allowance(ns string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
		"metadata": map[string]any{"name": targetRole, "namespace": ns},
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": targetRole},
		"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": "drill-runner", "namespace": namespace}},
	}}
}

// Apply installs or upgrades drill, and returns once it works. It may be repeated; it deletes nothing.
func Apply(ctx context.Context, client *kube.Client, o Options) error {
	if o.Image == "" {
		return errors.New("install drill: no image is named")
	}
	for _, ns := range o.Allow {
		_, err := client.CoreV1().Namespaces().Get(ctx, ns, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return &drill.Refusal{Code: "no_namespace", Text: fmt.Sprintf("there is no namespace %s to allow. Nothing was installed", ns)}
		}
		if err != nil {
			return fmt.Errorf("read namespace %s: %w", ns, err)
		}
	}
	objects, err := Manifests(o.Image, o.Allow...)
	if err != nil {
		return err
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	i := &installer{client: client, image: o.Image, out: o.Out}
	if err := i.namespaceUsable(ctx); err != nil {
		return err
	}
	if err := i.keepFlags(ctx, objects, o.Flags); err != nil {
		return err
	}
	if err := i.allowBefore(ctx, objects); err != nil {
		return err
	}
	// Rights, and what uses them, come after the proof that the policies which bound them are in force.
	later := func(o *unstructured.Unstructured) bool {
		return strings.HasPrefix(o.GetKind(), "Role") || strings.HasPrefix(o.GetKind(), "ClusterRole") || o.GetKind() == "Deployment"
	}
	for _, object := range objects {
		if !later(object) {
			if err := i.apply(ctx, object); err != nil {
				return err
			}
		}
	}
	if err := i.established(ctx); err != nil {
		return err
	}
	if err := i.policed(ctx, namespace); err != nil {
		return err
	}
	if err := i.limits(ctx, o.Limits); err != nil { // the server finds them from the start
		return err
	}
	for _, object := range objects {
		if later(object) {
			if object.GetKind() == "Deployment" { // the server finds them from the start
				if err := i.limits(ctx, o.Limits); err != nil {
					return err
				}
			}
			if err := i.apply(ctx, object); err != nil {
				return err
			}
		}
	}
	if err := i.counted(ctx); err != nil { // while the server starts
		return err
	}
	return i.serving(ctx)
}

// ApplyDefinitions installs only what defines and protects runs: the custom resource, the policy and the roles. Nothing
// runs, and no namespace is made.
func ApplyDefinitions(ctx context.Context, client *kube.Client) error {
	objects, err := Manifests("none")
	if err != nil {
		return err
	}
	i := &installer{client: client, image: "none"}
	if err := i.allowBefore(ctx, objects); err != nil { // pods of an installation there go on being made
		return err
	}
	for _, object := range objects {
		switch object.GetKind() {
		case "CustomResourceDefinition", "PriorityClass", "ClusterRole", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding":
			if err := i.apply(ctx, object); err != nil {
				return err
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, defaultTimeout)
	defer cancel()
	if err := i.established(ctx); err != nil {
		return err
	}
	return i.policed(ctx, metav1.NamespaceDefault)
}

type installer struct {
	client *kube.Client
	image  string
	out    io.Writer
}

func (i *installer) say(format string, args ...any) {
	if i.out != nil {
		_, _ = fmt.Fprintf(i.out, format+"\n", args...)
	}
}

func (i *installer) apply(ctx context.Context, object *unstructured.Unstructured) error {
	_, err := resource(i.client.Dynamic, object).Apply(ctx, object.GetName(), object,
		metav1.ApplyOptions{FieldManager: kube.ManagedBy, Force: true})
	switch {
	case err == nil:
		i.say("applied %s", describe(object))
		return nil
	case apierrors.IsForbidden(err):
		return &drill.Refusal{Code: "forbidden", Err: err, Text: fmt.Sprintf(
			"you may not install drill: applying %s was refused. It takes a cluster administrator", describe(object))}
	case apierrors.IsNotFound(err) && strings.HasPrefix(object.GetKind(), "ValidatingAdmissionPolicy"):
		return &drill.Refusal{Code: "old_cluster", Err: err, Text: fmt.Sprintf(
			"the cluster, Kubernetes %s, has no ValidatingAdmissionPolicy. drill needs Kubernetes 1.30 or newer", i.client.Version)}
	}
	return fmt.Errorf("apply %s: %w", describe(object), err)
}

func resource(client dynamic.Interface, object *unstructured.Unstructured) dynamic.ResourceInterface {
	r := client.Resource(resources[object.GetKind()])
	if ns := object.GetNamespace(); ns != "" {
		return r.Namespace(ns)
	}
	return r
}

func describe(object *unstructured.Unstructured) string {
	s := strings.ToLower(object.GetKind()) + " "
	if ns := object.GetNamespace(); ns != "" {
		s += ns + "/"
	}
	return s + object.GetName()
}
