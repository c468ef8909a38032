//go:build e2e

package kube_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/failoverdrill/drill/deploy"
	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// connect reaches the lab. There is no skipping: client-go's fake does not enforce resource versions, so nothing else
// tests what these tests are about.
func connect(t *testing.T) *kube.Client {
	t.Helper()
	require.NotEmpty(t, os.Getenv("KUBECONFIG"), "these tests need a cluster: set KUBECONFIG, for instance to test/lab/kubeconfig")
	c, err := kube.Connect("", "")
	require.NoError(t, err)
	return c
}

// space makes a namespace of the test's own, in a cluster that knows runs and polices them.
func space(t *testing.T, c *kube.Client) string {
	t.Helper()
	ctx := t.Context()
	require.NoError(t, deploy.ApplyDefinitions(ctx, c))
	ns, err := c.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "drill-test-", Labels: map[string]string{"failoverdrill.io/test": "kube"}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(ctx)
		letGo(ctx, c, ns.Name)
		_ = c.CoreV1().Namespaces().Delete(ctx, ns.Name, metav1.DeleteOptions{})
	})
	return ns.Name
}

// letGo takes drill's finalizer off a test's runs, which no server would, and with which the namespace could not go.
func letGo(ctx context.Context, c *kube.Client, ns string) {
	runs := kube.NewRuns(c.Dynamic, ns)
	all, err := runs.List(ctx)
	if err != nil {
		return
	}
	for _, run := range all {
		_ = runs.SetFinalizer(ctx, run, false)
	}
}

// store is an empty store of runs, and a function that creates a run in it.
func store(t *testing.T) (c *kube.Client, runs *kube.Runs, create func() *kube.DrillRun) {
	t.Helper()
	c = connect(t)
	runs = kube.NewRuns(c.Dynamic, space(t, c))
	me, err := c.WhoAmI(t.Context())
	require.NoError(t, err)
	return c, runs, func() *kube.DrillRun {
		run, err := runs.Create(t.Context(), kube.Spec{Drill: "Kill Primary", File: "a.hcl", Source: "drill {}", Requester: me})
		require.NoError(t, err)
		return run
	}
}

func admitted(t *testing.T, runs *kube.Runs, run *kube.DrillRun) *kube.DrillRun {
	t.Helper()
	run, err := runs.Admit(t.Context(), run.Name, kube.RunnerPod(run.Name))
	require.NoError(t, err)
	return run
}

func claimed(t *testing.T, runs *kube.Runs, run *kube.DrillRun) *kube.DrillRun {
	t.Helper()
	admitted(t, runs, run)
	run, err := runs.Claim(t.Context(), run.Name, kube.Runner{Pod: kube.RunnerPod(run.Name), UID: "uid-1", Node: "n"})
	require.NoError(t, err)
	return run
}

// line is the connection to the API server, for cutting.
type line struct {
	next http.RoundTripper
	// loseAnswers is how many answers to writes get lost although the write was carried out.
	loseAnswers atomic.Int32
	cutAfter    atomic.Bool // the line is cut together with the answer
	cut         atomic.Bool
}

var errCut = errors.New("the line is cut")

func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	if l.cut.Load() {
		return nil, errCut
	}
	answer, err := l.next.RoundTrip(r)
	if err == nil && strings.HasSuffix(r.URL.Path, "/log") {
		answer.Body = &stream{ReadCloser: answer.Body, line: l}
	}
	if err == nil && r.Method == http.MethodPut && l.loseAnswers.Load() > 0 {
		l.loseAnswers.Add(-1)
		l.cut.Store(l.cutAfter.Load())
		_ = answer.Body.Close()
		return nil, errCut
	}
	return answer, err
}

// stream is an answer that goes on until the line is cut.
type stream struct {
	io.ReadCloser
	line *line
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p[:min(len(p), 7)]) // cut in the middle of a line, too
	if s.line.cut.Load() {
		return n, errCut
	}
	return n, err
}

// overLine is a second client of the same cluster whose line can be cut.
func overLine(t *testing.T, c *kube.Client) (*kube.Client, *line) {
	t.Helper()
	l := new(line)
	config := rest.CopyConfig(c.Config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { l.next = next; return l })
	other, err := (&kube.Client{Config: config}).As("")
	require.NoError(t, err)
	return other, l
}

// requester gives a made-up user the role of a requester in a namespace.
func requester(t *testing.T, c *kube.Client, ns, user string) *kube.Client {
	t.Helper()
	_, err := c.RbacV1().RoleBindings(ns).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: strings.ReplaceAll(user, "@", "-")},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "drill-requester"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	inForce(t, c, user, "create", "failoverdrill.io", "drillruns", ns)
	as, err := c.As(user, "dba", "oncall", "system:authenticated")
	require.NoError(t, err)
	return as
}

// inForce waits until a user has a right: the API server learns of a new binding a moment after it has stored it.
func inForce(t *testing.T, c *kube.Client, user, verb, group, resource, ns string) {
	t.Helper()
	waitFor(t, c, user, kube.Right{Permission: drill.Permission{Verb: verb, Group: group, Resource: resource, Namespace: ns}})
}

func waitFor(t *testing.T, c *kube.Client, user string, right kube.Right) {
	t.Helper()
	eventually(t, 20*time.Second, user+" may "+right.String(), func() bool {
		missing, err := c.RequesterMay(context.WithoutCancel(t.Context()), kube.Requester{User: user}, []kube.Right{right})
		return err == nil && len(missing) == 0
	})
}

func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, within, 100*time.Millisecond, what)
}

// grant lets a user inject faults of one kind.
func grant(t *testing.T, c *kube.Client, ns, user, faultKind string) {
	t.Helper()
	_, err := c.RbacV1().Roles(ns).Create(t.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "inject-" + strings.ReplaceAll(faultKind, "_", "-")},
		Rules: []rbacv1.PolicyRule{{APIGroups: []string{"failoverdrill.io"}, Resources: []string{"faults"}, Verbs: []string{"inject"}, ResourceNames: []string{faultKind}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = c.RbacV1().RoleBindings(ns).Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "inject"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "inject-" + strings.ReplaceAll(faultKind, "_", "-")},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	waitFor(t, c, user, kube.MayInject(faultKind, ns))
}
