// Package starter looks at what runs in a cluster and writes a first drill for it. It only reads, and keeps no secret's value.
package starter

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/failoverdrill/drill/internal/drill"
)

// Options say what to look for, and settle what is ambiguous.
type Options struct {
	Namespace string
	Selector  string // empty: whatever the namespace holds
	Service   string // that clients use; empty: found by its endpoints
	Secret    string // "name/key" of what drill connects with; empty: found by the names of keys
	// Choose picks one of several candidates by its value. Where nobody can be asked it returns a *drill.Refusal.
	Choose func(Choice) (string, error)
}

// Choice is a question with several right answers.
type Choice struct {
	What    string // "workloads in namespace shop"
	Flag    string // with which the answer could have been given
	Options []Candidate
}

// Candidate is one answer.
type Candidate struct{ Value, Text string }

// The kinds of target that a starter can be written for.
const (
	kindPostgreSQL = "postgresql"
	kindDeployment = "deployment"
)

// System is what was found.
type System struct {
	Title     string // "PostgreSQL, kept by Patroni"
	Name      string
	Namespace string
	Selector  string
	Kind      string // of the target
	Preset    string // how roles are labelled
	NotYet    string // the sort of system, when drill has no kind for it yet

	Controller string   // "StatefulSet orders"; empty when it is not known
	Members    []string // pods
	Primary    string   // the pod that is labelled so
	Zones      []string
	Budgets    []string // PodDisruptionBudgets that cover the pods, in words
	Service    string   // that clients use
	Read       string   // the Service that leads to the replicas
	Address    Address  // behind the Service
	Secret     *Secret  // nil: none was found, or you may not list them
	TTL        time.Duration
	Sync       bool // replication is synchronous

	// Unread are things that could not be looked at, in words.
	Unread []string
}

// Address is what a Service of a stateless system offers.
type Address struct {
	Port int32
	HTTP bool
	Path string // that the pods' readiness asks for; empty when it is not known
}

// Secret is one that drill could connect with.
type Secret struct{ Name, URI, User, Password string } // Name and keys; URI, or else User and Password

// looker looks at one namespace.
type looker struct {
	Options
	kube kubernetes.Interface
	sys  *System
	pods []corev1.Pod
}

// Look finds out what the namespace's pods are, and what a drill of them needs to name.
func Look(ctx context.Context, kube kubernetes.Interface, o Options) (*System, error) {
	l := &looker{Options: o, kube: kube}
	if err := l.findPods(ctx); err != nil {
		return nil, err
	}
	if err := l.pick(ctx); err != nil {
		return nil, err
	}
	l.sys.Namespace = o.Namespace
	for _, step := range []func(context.Context) error{l.zones, l.budgets, l.services, l.timing, l.secrets} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return l.sys, nil
}

func refuse(code, format string, args ...any) error {
	return &drill.Refusal{Code: code, Text: fmt.Sprintf(format, args...)}
}

// findPods lists the pods that live, of the selector if there is one.
func (l *looker) findPods(ctx context.Context) error {
	list, err := l.kube.CoreV1().Pods(l.Namespace).List(ctx, metav1.ListOptions{LabelSelector: l.Selector})
	switch {
	case apierrors.IsForbidden(err):
		return refuse("forbidden", "You may not list pods in namespace %s, so drill cannot see what is there. Ask for that right, or start from a file in drills/", l.Namespace)
	case err != nil:
		return fmt.Errorf("list the pods of namespace %s: %w", l.Namespace, err)
	}
	for _, pod := range list.Items {
		owner := metav1.GetControllerOf(&pod)
		if pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed || owner != nil && owner.Kind == "Job" {
			continue
		}
		l.pods = append(l.pods, pod)
	}
	if len(l.pods) > 0 {
		return nil
	}
	if _, err := l.kube.CoreV1().Namespaces().Get(ctx, l.Namespace, metav1.GetOptions{}); apierrors.IsNotFound(err) {
		return refuse("no_namespace", "There is no namespace %q in this cluster. Check --namespace, and the context", l.Namespace)
	}
	if l.Selector != "" {
		return refuse("no_members", "The selector %q matches no running pod in namespace %s. See: kubectl get pods -n %s --show-labels", l.Selector, l.Namespace, l.Namespace)
	}
	return refuse("no_members", "No pod runs in namespace %s. Name another with --namespace", l.Namespace)
}

// pick groups the pods into systems, and takes the only one or asks.
func (l *looker) pick(ctx context.Context) error {
	groups := l.group(ctx)
	if len(groups) == 0 {
		return refuse("no_members", "None of the pods in namespace %s belongs to something that a drill is for. Say with --selector what to look at", l.Namespace)
	}
	g := groups[0]
	if len(groups) > 1 {
		c := Choice{What: "systems in namespace " + l.Namespace, Flag: "--selector"}
		if l.Selector != "" {
			c.What = fmt.Sprintf("systems that %q matches", l.Selector)
		}
		for _, g := range groups {
			c.Options = append(c.Options, Candidate{g.sys.Selector, fmt.Sprintf("%s: %s, %d pods", g.sys.Name, g.sys.Title, len(g.pods))})
		}
		value, err := l.Choose(c)
		if err != nil {
			return err
		}
		g = groups[slices.IndexFunc(groups, func(g *group) bool { return g.sys.Selector == value })]
	} else if l.Selector != "" {
		g.sys.Selector = l.Selector // as its owner thinks of it
	}
	l.sys, l.pods = g.sys, g.pods
	for _, p := range l.pods {
		l.sys.Members = append(l.sys.Members, p.Name)
		if leads(p) {
			l.sys.Primary = p.Name
		}
	}
	return nil
}

// unread notes what could not be looked at. Anything but a missing right is an error.
func (l *looker) unread(what string, err error) error {
	if !apierrors.IsForbidden(err) {
		return fmt.Errorf("look at the %s of namespace %s: %w", what, l.Namespace, err)
	}
	l.sys.Unread = append(l.sys.Unread, what)
	return nil
}

// name is a text as the name of a block in a drill file.
func name(text string) string {
	text = strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, text)
	if text == "" || text[0] < 'A' {
		text = "x" + text
	}
	return text[:min(len(text), 40)]
}
