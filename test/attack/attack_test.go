//go:build e2e

package attack

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// TestAttacks plays them all beside an innocent run, which must pass. Afterwards both servers run on, and nobody's record
// has changed.
func TestAttacks(t *testing.T) {
	w := enter(t)
	innocent := w.innocent()
	w.in("T1 a DSN that reads files of the server", dsnReadsFiles)
	w.in("T2 a file of 2,200 faults", tooManyFaults)
	w.in("T3 somebody else's record is erased", recordErased)
	w.in("T4 fat records", fatRecords)
	w.in("T6 a run that a backup restored", restoredRun)
	w.in("T7 a hold of 99 hours", endlessHold)
	w.in("T8 what a stolen account can do", stolenAccounts)
	w.in("T9 the book and the totals", forgedEvidence)
	w.in("T12 bulk in the schedules", bulkySchedules)
	w.in("T14 a probe of the cloud's metadata", metadataProbe)
	w.in("T17 a flood of the server's port", floodedPort)
	w.in("T18 names that can be foretold", squattedNames)
	w.in("T20 text that steers a terminal", steeringText)
	require.NoError(t, <-innocent, "the innocent run passes")
	w.in("T13 a policy that is gone", policyGone)
	w.unharmed()
}

// innocent starts a run that breaks something by right.
func (w *world) innocent() <-chan error {
	done := make(chan error, 1)
	go func() {
		code, said := w.command(8*time.Minute, filepath.Join(root(w.T), "bin/drill"), "run", "drills/pod-kill-one.hcl")
		if code != 0 {
			done <- fmt.Errorf("exit code %d: %s", code, said)
			return
		}
		done <- nil
	}()
	return done
}

// source is a drill file that would kill the primary of a target that is not there.
func source(target, fault string) string {
	return fmt.Sprintf(`drill "attack" {
  timeout = "5m"
  target "postgresql" "o" {
    namespace = "%s"
    selector  = "a=b"
%s
  }
  steady_state {
    hold    = "10s"
    timeout = "1m"
    assert {
      condition     = target.o.primaries == 1
      error_message = "no primary"
    }
  }
  fault "kill_primary" "o" {
%s
  }
  objectives {
    recovery_time = "30s"
  }
}
`, den, target, fault)
}

const plainDSN = `    dsn = "postgres://u:p@o.mallory.svc/db"`

func dsnReadsFiles(w *world) {
	for _, key := range []string{"sslrootcert=/dev/zero", "sslcert=/dev/urandom", "sslkey=/dev/zero", "passfile=/dev/zero", "servicefile=/dev/zero"} {
		text := source(fmt.Sprintf(`    dsn = "postgres://u:p@o.mallory.svc/db?%s"`, key), "")
		w.refused(w.requester, text, strings.SplitN(key, "=", 2)[0])
	}
	// And the same file in CI: a container with 512 MiB.
	dir := w.TempDir()
	file := filepath.Join(dir, "attack.hcl")
	require.NoError(w, os.WriteFile(file, []byte(source(`    dsn = "postgres://u:p@o.mallory.svc/db?sslrootcert=/dev/zero"`, "")), 0o644))
	require.NoError(w, os.Chmod(dir, 0o755))
	image := w.servers()[0].Spec.Containers[0].Image
	code, said := w.command(time.Minute, "docker", "run", "--rm", "--network", "none", "-m", "512m", "-v", dir+":/files:ro", image, "validate", "/files/attack.hcl")
	require.NotZero(w, code)
	require.Contains(w, said, "sslrootcert")
	// And in a schedule.
	name := w.schedule("t1", daily(source(`    dsn = "postgres://u:p@o.mallory.svc/db?sslrootcert=/dev/zero"`, "")), nil)
	w.eventually(time.Minute, "the schedule's problem is told", func() (bool, string) {
		_, said := w.command(time.Minute, filepath.Join(root(w.T), "bin/drill"), "schedule", "list")
		return strings.Contains(said, "sslrootcert"), said
	})
	w.unschedule(name)
}

// daily puts a drill under schedule.
func daily(source string) string {
	return strings.Replace(source, "  timeout = \"5m\"\n", "  timeout = \"5m\"\n  schedule {\n    cron     = \"0 3 1 1 *\"\n    timezone = \"UTC\"\n  }\n", 1)
}

func (w *world) schedule(name, text string, more map[string]string) string {
	w.Helper()
	me, err := w.scheduler.WhoAmI(w.Context())
	require.NoError(w, err)
	files := map[string]string{"attack.hcl": text}
	maps.Copy(files, more)
	_, err = kube.NewSchedules(w.scheduler, "").Install(w.Context(), "attack-"+name, files, me)
	require.NoError(w, err)
	return "attack-" + name
}

func (w *world) unschedule(name string) {
	w.Helper()
	require.NoError(w, w.admin.CoreV1().ConfigMaps(kube.Namespace).Delete(w.Context(), name, metav1.DeleteOptions{}))
}

func tooManyFaults(w *world) {
	var b strings.Builder
	b.WriteString("drill \"attack\" {\n timeout = \"5m\"\n target \"postgresql\" \"o\" {\n namespace = \"mallory\"\n selector = \"a=b\"\n dsn = \"postgres://u:p@o/db\"\n }\n")
	for i := range 1700 {
		fmt.Fprintf(&b, "fault \"network_partition\" \"f%d\" {\n from {\n namespace=\"a%d\"\n role=\"primary\"\n }\n to {\n namespace=\"b%d\"\n }\n}\n", i, i, i)
	}
	b.WriteString("}\n")
	require.Less(w, b.Len(), kube.MaxSource)
	w.refused(w.requester, b.String())
}

func recordErased(w *world) {
	victim, err := w.ask(w.tenant, source(`    dsn = "postgres://u:p@o.mallory.svc/db?sslrootcert=x"`, ""))
	require.NoError(w, err)
	defer func() {
		_ = w.admin.Dynamic.Resource(kube.Resource).Namespace(kube.Namespace).Delete(context.WithoutCancel(w.Context()), victim.Name, metav1.DeleteOptions{})
	}()
	for _, p := range []string{
		`{"metadata":{"finalizers":null,"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"no","uid":"00000000-0000-0000-0000-000000000000"}]}}`,
		`{"metadata":{"finalizers":["eve.example/stay"]}}`,
		`{"metadata":{"labels":{"failoverdrill.io/run":"x"}}}`,
		`{"metadata":{"annotations":{"failoverdrill.io/seen":"x"}}}`,
	} {
		_, err := w.requester.Dynamic.Resource(kube.Resource).Namespace(kube.Namespace).Patch(w.Context(), victim.Name, types.MergePatchType, []byte(p), metav1.PatchOptions{})
		w.forbidden(err)
	}
	_, err = w.ask(w.requester, "x", func(r *kube.DrillRun) {
		r.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "no", UID: "0"}}
	})
	w.forbidden(err)
	_, err = w.ask(w.requester, "x", func(r *kube.DrillRun) { r.Finalizers = []string{"eve.example/stay"} })
	w.forbidden(err)
}

func fatRecords(w *world) {
	_, err := w.ask(w.requester, strings.Repeat("ü€", 130_000), func(r *kube.DrillRun) { r.GenerateName = "attack-fat-" })
	w.forbidden(err)
	fat := map[string]string{}
	for i := range 2 {
		fat[fmt.Sprint("v", i)] = `"` + strings.Repeat("x", 500_000) + `"`
	}
	_, err = w.ask(w.requester, "x", func(r *kube.DrillRun) { r.Spec.Inputs.Variables = fat })
	w.forbidden(err)
}

// restoredRun is the record of a run that once ran, as a backup tool brings it back: spec and metadata, no status.
func restoredRun(w *world) {
	run, err := w.ask(w.tenant, source(plainDSN, ""), func(r *kube.DrillRun) {
		r.Annotations = map[string]string{"failoverdrill.io/seen": "5f0c8a56-0000-4000-8000-000000000000"}
	})
	require.NoError(w, err)
	defer func() {
		_ = w.admin.Dynamic.Resource(kube.Resource).Namespace(kube.Namespace).Delete(context.WithoutCancel(w.Context()), run.Name, metav1.DeleteOptions{})
	}()
	run = w.ended(run.Name, time.Minute)
	require.Equal(w, drill.VerdictRefused, run.Status.Verdict)
	require.Contains(w, run.Status.Message, "backup")
	w.Logf("%s", short(run.Status.Message))
}

func endlessHold(w *world) {
	w.refused(w.tenant, strings.Replace(source(plainDSN, `    hold_down = "99h"`), `timeout = "5m"`, `timeout = "100h"`, 1), "timeout")
	w.refused(w.tenant, strings.Replace(source(plainDSN, `    hold_down = "45m"`), `timeout = "5m"`, `timeout = "100m"`, 1), "hold")
}

// stolenAccounts tries what whoever has the token of one of drill's accounts would.
func stolenAccounts(w *world) {
	ctx := w.Context()
	for _, ns := range []string{kube.Namespace, kube.AgentNamespace} {
		for name, spec := range map[string]corev1.PodSpec{
			"the node's disk": {Containers: []corev1.Container{{Name: "x", Image: "x", VolumeMounts: []corev1.VolumeMount{{Name: "h", MountPath: "/h"}}}},
				Volumes: []corev1.Volume{{Name: "h", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}},
			"the server's account": {ServiceAccountName: "drill-server", Containers: []corev1.Container{{Name: "x", Image: "x"}}},
			"privileged":           {Containers: []corev1.Container{{Name: "x", Image: "x", SecurityContext: &corev1.SecurityContext{Privileged: new(true)}}}},
			"somebody's secret": {Containers: []corev1.Container{{Name: "x", Image: "x"}},
				Volumes: []corev1.Volume{{Name: "s", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "other"}}}}},
		} {
			for who, as := range map[string]*kube.Client{"drill-runner": w.runner, "drill-server": w.server} {
				_, err := as.CoreV1().Pods(ns).Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "attack-pod"}, Spec: spec}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
				require.Error(w, err, "%s: %s in %s", who, name, ns)
				w.forbidden(err)
			}
		}
	}
	nodes, err := w.admin.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	require.NoError(w, err)
	for _, as := range []*kube.Client{w.runner, w.server} {
		for _, p := range []string{`{"spec":{"taints":[{"key":"x","effect":"NoExecute"}]}}`, `{"metadata":{"labels":{"x":"y"}}}`, `{"spec":{"unschedulable":true}}`} {
			_, err := as.CoreV1().Nodes().Patch(ctx, nodes.Items[0].Name, types.MergePatchType, []byte(p), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
			w.forbidden(err)
		}
	}
	for name := range w.records { // another run's verdict
		_, err := w.runner.Dynamic.Resource(kube.Resource).Namespace(kube.Namespace).Patch(ctx, name, types.MergePatchType,
			[]byte(`{"status":{"verdict":"passed"}}`), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}}, "status")
		w.forbidden(err)
		break
	}
	_, err = w.runner.CoreV1().Secrets(kube.Namespace).List(ctx, metav1.ListOptions{})
	w.forbidden(err)
}

func forgedEvidence(w *world) {
	maps := w.scheduler.CoreV1().ConfigMaps(kube.Namespace)
	ctx := w.Context()
	for _, name := range []string{"drill-schedule-state", "drill-totals", "drill-limits", "drill-hold", "drill-held-members"} {
		if _, err := w.admin.CoreV1().ConfigMaps(kube.Namespace).Get(ctx, name, metav1.GetOptions{}); err == nil {
			w.forbidden(maps.Delete(ctx, name, metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}), name)
			_, err := maps.Patch(ctx, name, types.MergePatchType, []byte(`{"data":{"state.json":"{}"}}`), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
			w.forbidden(err)
			continue
		}
		_, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"state.json": "{}"}}, metav1.CreateOptions{})
		w.forbidden(err)
	}
}

func bulkySchedules(w *world) {
	bulk := strings.Repeat("x", 400<<10)
	var names []string
	for i := range 3 {
		text := fmt.Sprintf("variable \"v\" {\n  type = string\n}\n%s", strings.Replace(daily(source(plainDSN, "")), `drill "attack"`, fmt.Sprintf(`drill "attack-bulk-%d"`, i), 1))
		names = append(names, w.schedule(fmt.Sprint("bulk-", i), text, map[string]string{"a.drillvars.hcl": `v = "` + bulk + `"`}))
	}
	defer func() {
		for _, n := range names {
			w.unschedule(n)
		}
	}()
	time.Sleep(10 * time.Second) // passes of the scheduler
	book, err := w.admin.CoreV1().ConfigMaps(kube.Namespace).Get(w.Context(), "drill-schedule-state", metav1.GetOptions{})
	require.NoError(w, err)
	raw, err := json.Marshal(book)
	require.NoError(w, err)
	require.Less(w, len(raw), 200<<10, "the book")
}

func metadataProbe(w *world) {
	text := strings.Replace(source(plainDSN, ""), "  steady_state {", "  probe \"http\" \"m\" {\n    url = \"http://169.254.169.254/latest/meta-data/\"\n  }\n  steady_state {", 1)
	w.refused(w.tenant, text, "169.254.169.254")
}

func floodedPort(w *world) {
	began := time.Now()
	code, said := w.command(time.Minute, filepath.Join(root(w.T), "test/lab/bin/kubectl"), "get", "--raw",
		"/api/v1/namespaces/"+kube.Namespace+"/services/drill-server:9090/proxy/")
	w.Logf("the pages without a token: exit code %d after %v: %s", code, time.Since(began), short(said))
	require.NotZero(w, code, "reports are for those who may see them")
}

func squattedNames(w *world) {
	due := time.Now().Add(time.Hour).UTC().Truncate(time.Hour)
	_, err := w.ask(w.requester, "x", func(r *kube.DrillRun) {
		r.GenerateName, r.Name = "", kube.ScheduledRunID(due, "monthly-kill-primary")
	})
	w.forbidden(err)
	_, err = w.ask(w.requester, "x", func(r *kube.DrillRun) { r.GenerateName, r.Name = "", "attack-x-t2" })
	w.forbidden(err)
}

func steeringText(w *world) {
	run, err := w.ask(w.requester, "\x1b]0;owned\x07 drill {", func(r *kube.DrillRun) { r.Spec.File = "a\x1b[2Jb\nError: forged" })
	if err != nil {
		w.forbidden(err)
		return
	}
	defer func() {
		_ = w.admin.Dynamic.Resource(kube.Resource).Namespace(kube.Namespace).Delete(context.WithoutCancel(w.Context()), run.Name, metav1.DeleteOptions{})
	}()
	run = w.ended(run.Name, time.Minute)
	require.NotContains(w, run.Status.Message, "\x1b")
	require.NotContains(w, run.Status.Message, "\n")
}

// policyGone removes the policy's binding, as another tool might, and asks for a run in the name of the masters.
func policyGone(w *world) {
	gvr := kube.Resource
	gvr.Group, gvr.Version, gvr.Resource = "admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings"
	bindings := w.admin.Dynamic.Resource(gvr)
	was, err := bindings.Get(w.Context(), "drillruns.failoverdrill.io", metav1.GetOptions{})
	require.NoError(w, err)
	require.NoError(w, bindings.Delete(w.Context(), was.GetName(), metav1.DeleteOptions{}))
	defer func() {
		was.SetResourceVersion("")
		was.SetUID("")
		_, err := bindings.Create(context.WithoutCancel(w.Context()), was, metav1.CreateOptions{})
		require.NoError(w, err)
	}()
	w.eventually(90*time.Second, "drill says that its policies are not in force", func() (bool, string) {
		_, said := w.command(time.Minute, filepath.Join(root(w.T), "bin/drill"), "status")
		return strings.Contains(strings.ToLower(said), "not in force"), said
	})
	run, err := w.ask(w.requester, source(plainDSN, ""), func(r *kube.DrillRun) {
		r.Spec.Requester = kube.Requester{User: "admin", Groups: []string{"system:masters"}}
	})
	require.NoError(w, err)
	defer func() {
		_ = w.admin.Dynamic.Resource(kube.Resource).Namespace(kube.Namespace).Delete(context.WithoutCancel(w.Context()), run.Name, metav1.DeleteOptions{})
	}()
	time.Sleep(20 * time.Second)
	got, err := w.runs.Get(w.Context(), run.Name)
	require.NoError(w, err)
	require.NotEqual(w, kube.PhaseAdmitted, got.Status.Phase)
	require.NotEqual(w, kube.PhaseRunning, got.Status.Phase)
	require.Empty(w, got.Status.Runner.Pod)
	w.Logf("%s: %s %s", run.Name, got.Status.Phase, short(got.Status.Message))
}

// createRaw stores a record as it is, without what drill's own client would check or add.
func createRaw(ctx context.Context, as *kube.Client, run *kube.DrillRun) (*kube.DrillRun, error) {
	run.APIVersion, run.Kind = kube.Resource.GroupVersion().String(), kube.Kind
	raw, err := json.Marshal(run)
	if err != nil {
		return nil, err
	}
	u := new(unstructured.Unstructured)
	if err := json.Unmarshal(raw, &u.Object); err != nil {
		return nil, err
	}
	unstructured.RemoveNestedField(u.Object, "status")
	u, err = as.Dynamic.Resource(kube.Resource).Namespace(kube.Namespace).Create(ctx, u, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	made := new(kube.DrillRun)
	return made, runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, made)
}
