//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/failoverdrill/drill/internal/detail"
	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// outside is a drill whose namespace is a variable, and that logs in with a password from its user's environment.
func outside(t *testing.T) string {
	file := patched(t, "drills/restart-primary.hcl", `namespace = "shop"`, "namespace = var.namespace",
		`secret("orders-drill", "uri")`, `"postgres://drill:${var.password}@orders.shop.svc.cluster.local:5432/orders?sslmode=${env("ORDERS_SSLMODE")}"`,
		`timeout = "10m"`, "timeout = \"10m\"\n  repeat  = 2")
	src, err := os.ReadFile(file)
	require.NoError(t, err)
	declared := "variable \"namespace\" {\n  type = string\n}\n\nvariable \"password\" {\n  type      = string\n  sensitive = true\n}\n\n"
	require.NoError(t, os.WriteFile(file, append([]byte(declared), src...), 0o600))
	return file
}

// as is a kubeconfig with which one is somebody else.
func as(t *testing.T, user string) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(os.Getenv("KUBECONFIG"))
	require.NoError(t, err)
	config.AuthInfos[config.Contexts[config.CurrentContext].AuthInfo].Impersonate = user
	config.AuthInfos[config.Contexts[config.CurrentContext].AuthInfo].ImpersonateGroups = []string{"system:authenticated"}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, clientcmd.WriteToFile(*config, path))
	return path
}

// bind gives a user a role in a namespace, for as long as the test lasts.
func bind(t *testing.T, c *kube.Client, ns, kind, role, user string) {
	t.Helper()
	b, err := c.RbacV1().RoleBindings(ns).Create(context.Background(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = c.RbacV1().RoleBindings(ns).Delete(context.Background(), b.Name, metav1.DeleteOptions{})
	})
}

// TestInputs: a user who may read no Secret anywhere runs a drill with a password of their own, twice in a row. It works, and
// the password is nowhere but in the runs' Secrets, which go with the runs. It goes red when the server does not hand the
// Secret to the second trial, and when the password is a variable that is not sensitive.
func TestInputs(t *testing.T) {
	c := cluster(t)
	whole(t, c)
	forgetTheKilled(t, c)
	const alice = "alice@inputs.example.com"
	bind(t, c, kube.Namespace, "ClusterRole", "drill-requester", alice)
	bind(t, c, shop, "ClusterRole", "drill-injector", alice)
	dsn, err := c.CoreV1().Secrets(shop).Get(context.Background(), "orders-drill", metav1.GetOptions{})
	require.NoError(t, err)
	uri, err := url.Parse(string(dsn.Data["uri"]))
	require.NoError(t, err)
	canary, _ := uri.User.Password()
	require.Greater(t, len(canary), 20, "short ones are found by chance")

	file, config, home, out := outside(t), as(t, alice), t.TempDir(), outDir(t)
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(file), "lab.drillvars.hcl"), []byte("namespace = \"shop\"\n"), 0o600))
	base := filepath.Join(out, "TestInputs")
	t.Setenv("XDG_STATE_HOME", home)
	begin := func() *command {
		cmd := &command{Cmd: exec.Command(filepath.Join(root(t), "bin", "drill"), "run", file, "--kubeconfig", config,
			"--report", "json="+base+".json", "--report", "junit="+base+".xml", "--report", "text="+base+".txt")}
		cmd.Env = append(os.Environ(), "DRILL_VAR_password="+canary, "ORDERS_SSLMODE=disable")
		cmd.Stdout, cmd.Stderr = &cmd.stdout, &cmd.stderr
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		return cmd
	}

	since := time.Now()
	refused := begin()
	require.Equal(t, 11, refused.wait(t, time.Minute))
	require.Contains(t, refused.stderr.String(), "--role drill-inputs")
	runs, err := kube.NewRuns(c.Dynamic, "").List(context.Background())
	require.NoError(t, err)
	for _, r := range runs {
		require.True(t, r.CreationTimestamp.Time.Before(since.Truncate(time.Second)), "there is a run %s that never had a chance", r.Name)
	}
	bind(t, c, kube.Namespace, "Role", "drill-inputs", alice)

	since = time.Now()
	cmd := begin()
	first := newest(t, c, since)
	begun(t, c, first.Name)
	secrets := c.CoreV1().Secrets(kube.Namespace)
	s, err := secrets.Get(context.Background(), kube.InputsSecret(first.Name), metav1.GetOptions{})
	require.NoError(t, err)
	require.Contains(t, string(s.Data[kube.InputsKey]), canary)
	her, err := kube.Connect(config, "")
	require.NoError(t, err)
	_, err = her.CoreV1().Secrets(kube.Namespace).Get(context.Background(), s.Name, metav1.GetOptions{})
	require.True(t, apierrors.IsForbidden(err), "who makes one reads none, not even their own")
	seen := everything(t, c, first.Name)

	second := kube.TrialID(first.Name, 2)
	eventually(t, runLimit, "the second trial", func() (bool, string) {
		r, err := kube.NewRuns(c.Dynamic, "").Get(context.Background(), second)
		return err == nil && r.Status.Phase == kube.PhaseRunning, "not yet"
	})
	seen += everything(t, c, second)
	require.Contains(t, []int{0, 10, 15}, cmd.wait(t, 2*runLimit), "how the database does, and whether the machine is busy, is not the question here")
	for _, run := range []string{first.Name, second} {
		eventually(t, 20*time.Second, "the Secret is gone", func() (bool, string) {
			_, err := secrets.Get(context.Background(), kube.InputsSecret(run), metav1.GetOptions{})
			return apierrors.IsNotFound(err), run
		})
	}
	rep := readReport(t, base+".json")
	require.Equal(t, second, rep.Run.ID)
	require.NotNil(t, rep.Writes)
	require.Positive(t, rep.Writes.Acked, "the second trial logged in, too")
	require.Equal(t, map[string]drill.VariableValue{"namespace": `"shop"`, "password": `"(sensitive)"`}, rep.Run.Variables)
	require.Equal(t, map[string]string{"namespace": `"shop"`}, record(t, c, second).Spec.Inputs.Variables)
	recomputed(t, rep)

	seen += everything(t, c, first.Name) + everything(t, c, second) + cmd.stdout.String() + cmd.stderr.String() + refused.stderr.String()
	var unpacked strings.Builder
	details := 0
	for _, dir := range []string{home, out} {
		require.NoError(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() || dir == out && !strings.HasPrefix(e.Name(), "TestInputs.") {
				return err
			}
			raw, err := os.ReadFile(path)
			if rec, wrong := detail.Read(raw); wrong == nil { // it is compressed
				details++
				for e := range rec.Events {
					line, err := json.Marshal(e)
					require.NoError(t, err)
					unpacked.Write(line)
				}
				rec.Events = nil
				fmt.Fprintf(&unpacked, "%+v", rec)
			}
			unpacked.Write(raw)
			return err
		}))
	}
	require.Equal(t, 2, details)
	seen += unpacked.String()
	t.Logf("looked for the password in %d KiB", len(seen)>>10)
	for _, looked := range []string{"kind: DrillRun", "this server leads", "drill_", "(sensitive)"} {
		require.Contains(t, seen, looked, "or nothing was looked at")
	}
	require.NotContains(t, seen, canary)
	nothingLeft(t, c)
}

// page is what a pod of drill's shows a viewer at a path. The API server's own proxy takes the token off a request, so it is
// asked by a forwarded port. A runner has no pages, and may end meanwhile.
func page(t *testing.T, c *kube.Client, pod, path string) []byte {
	t.Helper()
	token, err := c.CoreV1().ServiceAccounts(kube.Namespace).CreateToken(t.Context(), "drill-viewer", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	require.NoError(t, err)
	forward := exec.Command(filepath.Join(root(t), "test/lab/bin/kubectl"), "-n", kube.Namespace, "port-forward", "pod/"+pod, ":9090")
	said, err := forward.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, forward.Start())
	defer func() { _ = forward.Process.Kill(); _ = forward.Wait() }()
	line, _ := bufio.NewReader(said).ReadString('\n')
	if line == "" {
		return nil
	}
	address, _, _ := strings.Cut(strings.TrimPrefix(line, "Forwarding from "), " ")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/"+path, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token.Status.Token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	require.NotContains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, res.StatusCode, path)
	body, _ := io.ReadAll(res.Body)
	return body
}

// everything is what others see of a run: every object of the cluster but Secrets, and drill's logs and pages.
func everything(t *testing.T, c *kube.Client, run string) string {
	t.Helper()
	ctx := context.Background()
	var all bytes.Buffer
	out, err := exec.Command(filepath.Join(root(t), "test/lab/bin/kubectl"), "get", "--all-namespaces", "-o", "yaml", "--show-managed-fields",
		"drillruns,configmaps,pods,events,leases,deployments,services").CombinedOutput()
	require.NoError(t, err, "%s", out)
	all.Write(out)
	pods, err := c.CoreV1().Pods(kube.Namespace).List(ctx, metav1.ListOptions{})
	require.NoError(t, err)
	for _, p := range pods.Items {
		log, err := c.CoreV1().Pods(kube.Namespace).GetLogs(p.Name, &corev1.PodLogOptions{}).DoRaw(ctx)
		if err == nil { // one that is not up yet has none
			all.Write(log)
		}
		if p.Status.Phase != corev1.PodRunning {
			continue
		}
		for _, path := range []string{"metrics", "", "runs/" + run, "runs/" + run + "/report.json"} {
			all.Write(page(t, c, p.Name, path))
		}
	}
	return all.String()
}
