//go:build bench

package scale

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/failoverdrill/drill/deploy"
	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// cluster is an API server with drill's definitions, and no nodes.
type cluster struct {
	*testing.T
	client     *kube.Client
	kubeconfig string
	binary     string
}

func newCluster(t *testing.T) *cluster {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "api")
	script := filepath.Join(root, "test/api/api.sh")
	if s := os.Getenv("API"); s != "" {
		script = s
	}
	var stderr strings.Builder
	up := exec.Command(script, "up", dir)
	up.Stderr = &stderr
	out, err := up.Output()
	require.NoError(t, err, stderr.String())
	t.Cleanup(func() { _ = exec.Command(script, "down", dir).Run() })
	c := &cluster{T: t, kubeconfig: strings.TrimSpace(string(out)), binary: os.Getenv("DRILL")}
	if c.binary == "" {
		c.binary = filepath.Join(root, "bin/drill")
	}
	c.client, err = kube.Connect(c.kubeconfig, "")
	require.NoError(t, err)
	c.client.Config.QPS, c.client.Config.Burst = 2000, 2000
	c.client = c.client.Apart()
	c.install()
	return c
}

// install applies all of drill but its server, whose process is the test's, and the quota, which holds up a new cluster.
func (c *cluster) install() {
	c.Helper()
	objects, err := deploy.Manifests("drill:none")
	require.NoError(c, err)
	for _, o := range objects {
		r, ok := map[string]schema.GroupVersionResource{
			"Namespace": {Version: "v1", Resource: "namespaces"}, "ServiceAccount": {Version: "v1", Resource: "serviceaccounts"}, "ConfigMap": {Version: "v1", Resource: "configmaps"},
			"ClusterRole": {Group: rbacv1.GroupName, Version: "v1", Resource: "clusterroles"}, "Role": {Group: rbacv1.GroupName, Version: "v1", Resource: "roles"},
			"RoleBinding": {Group: rbacv1.GroupName, Version: "v1", Resource: "rolebindings"}, "ClusterRoleBinding": {Group: rbacv1.GroupName, Version: "v1", Resource: "clusterrolebindings"},
		}[o.GetKind()]
		if !ok {
			continue
		}
		_, err := c.client.Dynamic.Resource(r).Namespace(o.GetNamespace()).Apply(c.Context(), o.GetName(), o, metav1.ApplyOptions{FieldManager: kube.ManagedBy, Force: true})
		require.NoError(c, err, o.GetName())
	}
	require.NoError(c, deploy.ApplyDefinitions(c.Context(), c.client))
}

// each does n things, 16 at a time.
func (c *cluster) each(n int, do func(i int) error) {
	c.Helper()
	var wg sync.WaitGroup
	next := make(chan int)
	errs := make(chan error, n)
	for range 16 {
		wg.Go(func() {
			for i := range next {
				if err := do(i); err != nil {
					errs <- err
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	select {
	case err := <-errs:
		require.NoError(c, err)
	default:
	}
}

// fill makes finished runs with reports as a real run's, about 17 KB each with the API server's own fields. Settled are
// those that a server has summarised.
func (c *cluster) fill(from, n int, settled bool) {
	c.Helper()
	text, err := os.ReadFile("../../drills/kill-primary.hcl")
	require.NoError(c, err)
	runs := kube.NewRuns(c.client.Dynamic, "")
	c.each(n, func(i int) error {
		i += from
		at := time.Now().Add(-time.Duration(i) * time.Hour).UTC()
		rep := drill.Report{FormatVersion: drill.FormatVersion, Run: drill.RunReport{ID: fmt.Sprint("r", i), Drill: "kill-primary", Verdict: drill.VerdictPassed,
			Started: at, Finished: at.Add(time.Minute)}, Faults: []drill.FaultReport{{Kind: "kill_primary", Name: "orders"}},
			Recovery: &drill.RecoveryReport{Estimate: drill.Estimate{Estimate: 12, Lower: 11, Upper: 13}}}
		for len(rep.Findings) < 100 {
			rep.Findings = append(rep.Findings, drill.Finding{Severity: "info", Code: "something", Text: fmt.Sprintf("At %d a thing was seen that is told in some sixty characters.", len(rep.Findings))})
		}
		raw, err := json.Marshal(rep)
		if err != nil {
			return err
		}
		run := &kube.DrillRun{TypeMeta: metav1.TypeMeta{APIVersion: kube.Resource.GroupVersion().String(), Kind: kube.Kind},
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("old-%05d", i), Namespace: kube.Namespace},
			Spec:       kube.Spec{Drill: fmt.Sprintf("kill-primary-%d", i%5), File: "kill-primary.hcl", Source: string(text), Requester: kube.Requester{User: "admin", Groups: []string{"system:masters", "system:authenticated"}}}}
		u := c.object(run)
		u, err = c.client.Dynamic.Resource(kube.Resource).Namespace(kube.Namespace).Create(context.Background(), u, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		run.UID, run.ResourceVersion, run.CreationTimestamp = u.GetUID(), u.GetResourceVersion(), u.GetCreationTimestamp()
		run.Status = kube.Status{Phase: kube.PhaseFinished, Verdict: drill.VerdictPassed, Finished: new(metav1.NewTime(at)), Report: raw}
		u, err = c.client.Dynamic.Resource(kube.Resource).Namespace(kube.Namespace).UpdateStatus(context.Background(), c.object(run), metav1.UpdateOptions{})
		if err != nil || !settled {
			return err
		}
		run.ResourceVersion = u.GetResourceVersion()
		return settle(runs, run)
	})
}

func (c *cluster) object(run *kube.DrillRun) *unstructured.Unstructured {
	raw, err := json.Marshal(run)
	require.NoError(c, err)
	u := new(unstructured.Unstructured)
	require.NoError(c, u.UnmarshalJSON(raw))
	return u
}

// fat makes pending runs as large as the policies let through: as JSON, which is what etcd holds, twice their size.
func (c *cluster) fat(n int) (bytes int) {
	c.Helper()
	values := map[string]string{}
	for i := range 256 {
		values[fmt.Sprintf("v%04d", i)] = strings.Repeat("\"", 128<<10/256-5)
	}
	c.each(n, func(i int) error {
		run := &kube.DrillRun{TypeMeta: metav1.TypeMeta{APIVersion: kube.Resource.GroupVersion().String(), Kind: kube.Kind},
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("fat-%04d", i), Namespace: kube.Namespace},
			Spec: kube.Spec{Drill: fmt.Sprintf("d%d", i), File: "a.hcl", Source: "# " + strings.Repeat("\"", 256<<10-2), Inputs: kube.Inputs{Variables: values},
				Requester: kube.Requester{User: "admin", Groups: []string{"system:masters", "system:authenticated"}}}}
		raw, err := json.Marshal(run)
		if err != nil {
			return err
		}
		if i == 0 {
			bytes = len(raw)
		}
		_, err = c.client.Dynamic.Resource(kube.Resource).Namespace(kube.Namespace).Create(context.Background(), c.object(run), metav1.CreateOptions{})
		return err
	})
	return bytes
}

// things makes pods that are over, and nodes.
func (c *cluster) things(pods, nodes int) {
	c.Helper()
	c.each(nodes, func(i int) error {
		_, err := c.client.CoreV1().Nodes().Create(context.Background(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("n%d", i)}}, metav1.CreateOptions{})
		return err
	})
	c.each(pods, func(i int) error {
		run := fmt.Sprintf("old-%05d", i)
		var env []corev1.EnvVar
		for j := range 20 {
			env = append(env, corev1.EnvVar{Name: fmt.Sprintf("SOME_VARIABLE_%d", j), Value: strings.Repeat("v", 100)})
		}
		_, err := c.client.CoreV1().Pods(kube.Namespace).Create(context.Background(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: kube.RunnerPod(run), Namespace: kube.Namespace,
			Labels: map[string]string{kube.LabelManagedBy: kube.ManagedBy, kube.LabelComponent: "runner", kube.LabelRun: run}},
			Spec: corev1.PodSpec{NodeName: fmt.Sprintf("n%d", i%max(nodes, 1)), AutomountServiceAccountToken: new(false), RestartPolicy: corev1.RestartPolicyNever,
				SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(true), RunAsUser: new(int64(65532)), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
				Containers: []corev1.Container{{Name: "runner", Image: "drill:none", Env: env,
					SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
					Resources:       corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Mi")}}}}}}, metav1.CreateOptions{})
		return err
	})
}

// server is a process of drill serve.
type server struct {
	*cluster
	cmd  *exec.Cmd
	at   time.Time // its start
	url  string
	log  *os.File
	done chan struct{}
}

func (c *cluster) serve(port int) *server { return c.serveWith(port, "110MiB") }

// serveWith starts a server with a bound for its collector, behind a command that starts it.
func (c *cluster) serveWith(port int, most string, behind ...string) *server {
	c.Helper()
	log, err := os.Create(filepath.Join(c.TempDir(), fmt.Sprintf("serve-%d.log", port)))
	require.NoError(c, err)
	s := &server{cluster: c, url: fmt.Sprintf("http://127.0.0.1:%d", port), log: log, done: make(chan struct{})}
	args := []string{"serve", "--image", "drill:none", "--listen", fmt.Sprintf("127.0.0.1:%d", port)}
	if os.Getenv("SCALE") != "before" {
		args = append(args, "--page-auth", "anonymous")
	}
	args = append(append(behind, c.binary), args...)
	s.cmd = exec.Command(args[0], args[1:]...)
	s.cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "GOMEMLIMIT="+most)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.at = time.Now()
	require.NoError(c, s.cmd.Start())
	go func() { _ = s.cmd.Wait(); close(s.done) }()
	c.Cleanup(s.stop)
	return s
}

func (s *server) stop() {
	_ = s.cmd.Process.Signal(os.Interrupt)
	select {
	case <-s.done:
	case <-time.After(10 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.done
	}
}

// memory reads a value such as VmHWM, in MiB.
func (s *server) memory(what string) float64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	require.NoError(s, err)
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, what+":"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			require.NoError(s, err)
			return float64(kb) / 1024
		}
	}
	s.Fatalf("no %s", what)
	return 0
}

// admitted asks for a run, and waits until the server has decided about it.
func (s *server) admitted(name string) time.Duration {
	s.Helper()
	text, err := os.ReadFile("../../drills/kill-primary.hcl")
	require.NoError(s, err)
	began := time.Now()
	run := &kube.DrillRun{TypeMeta: metav1.TypeMeta{APIVersion: kube.Resource.GroupVersion().String(), Kind: kube.Kind},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: kube.Namespace},
		Spec:       kube.Spec{Drill: "kill-primary", File: "a.hcl", Source: string(text), Requester: kube.Requester{User: "admin", Groups: []string{"system:masters", "system:authenticated"}}}}
	_, err = s.client.Dynamic.Resource(kube.Resource).Namespace(kube.Namespace).Create(s.Context(), s.object(run), metav1.CreateOptions{})
	require.NoError(s, err)
	for {
		got, err := kube.NewRuns(s.client.Dynamic, "").Get(s.Context(), name)
		require.NoError(s, err)
		if got.Status.Phase == kube.PhaseAdmitted || got.Finished() {
			return time.Since(began)
		}
		require.Less(s, time.Since(began), 5*time.Minute)
		time.Sleep(20 * time.Millisecond)
	}
}

// led is how long after its start the server led, by its log.
func (s *server) led() time.Duration {
	raw, err := os.ReadFile(s.log.Name())
	require.NoError(s, err)
	for line := range strings.Lines(string(raw)) {
		var said struct {
			Msg string
			TS  float64
		}
		if json.Unmarshal([]byte(line), &said) == nil && said.Msg == "this server leads" {
			return time.UnixMicro(int64(said.TS * 1e6)).Sub(s.at)
		}
	}
	return -1
}

// counted waits until the server has counted so many runs; one that never does is not waited for.
func (s *server) counted(n int) {
	s.Helper()
	for began := time.Now(); time.Since(began) < 4*time.Minute; time.Sleep(time.Second) {
		resp, err := http.Get(s.url + "/metrics")
		if err != nil {
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		sum := 0.0
		for line := range strings.Lines(string(body)) {
			if strings.HasPrefix(line, "drill_runs_total{") {
				v, _ := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndex(line, " "):]), 64)
				sum += v
			}
		}
		if int(sum) >= n {
			return
		}
	}
	s.Logf("not all of %d runs were counted", n)
}

// page asks for the page, until it is there, and then again when it has to be made anew: the median of five times.
func (s *server) page() (first, again time.Duration, size int) {
	s.Helper()
	began := time.Now()
	for {
		resp, err := http.Get(s.url + "/")
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				break
			}
		}
		require.Less(s, time.Since(began), 10*time.Minute)
		time.Sleep(50 * time.Millisecond)
	}
	first = time.Since(began)
	var all []time.Duration
	for range 5 {
		time.Sleep(2100 * time.Millisecond)
		began = time.Now()
		resp, err := http.Get(s.url + "/")
		require.NoError(s, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(s, err)
		_ = resp.Body.Close()
		all, size = append(all, time.Since(began)), len(body)
	}
	slices.Sort(all)
	return first, all[2], size
}

// TestScale prints, for each number of records, what a restarted server that leads costs.
func TestScale(t *testing.T) {
	c := newCluster(t)
	want := os.Getenv("SCALE") // "before": a server that knows no summaries, and only figures are wanted
	n := 0
	port := 29100
	measure := func(what string) {
		port++
		before := c.serve(port) // which counts what is new, so that the next one only restarts
		before.counted(n)
		before.stop()
		port++
		s := c.serve(port)
		admission := s.admitted(fmt.Sprintf("fresh-%d", port))
		first, page, size := s.page()
		time.Sleep(10 * time.Second)
		peak, now := s.memory("VmHWM"), s.memory("VmRSS")
		load, _ := os.ReadFile("/proc/loadavg")
		t.Logf("%-44s peak %6.1f MiB, then %6.1f MiB; first admission %v (led after %v); page %v (first %v, %d KiB); load %.5s", what, peak, now,
			admission.Round(time.Millisecond), s.led().Round(time.Millisecond), page.Round(time.Millisecond), first.Round(time.Millisecond), size>>10, load)
		if want != "before" {
			assert.LessOrEqual(t, peak, 128.0, what)
			assert.LessOrEqual(t, admission, 5*time.Second, what)
			assert.LessOrEqual(t, page, 200*time.Millisecond, what)
		}
		s.stop()
	}
	measure("nothing")
	steps := []int{1000, 3000, 5000}
	if only, err := strconv.Atoi(os.Getenv("RECORDS")); err == nil {
		steps = []int{only}
	}
	for _, records := range steps {
		c.fill(n, records-n, want != "before")
		n = records
		measure(fmt.Sprintf("%d finished records", n))
	}
	if os.Getenv("PODS") != "none" {
		c.things(5000, 200)
		measure("and 5000 runner pods, 200 nodes")
	}
	fat := c.fat(200)
	measure(fmt.Sprintf("and 200 pending records of %d KiB", fat>>10))
}
