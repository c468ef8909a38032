package cli

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	apischema "k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/schedule"
	"github.com/failoverdrill/drill/test/bubble"
)

// leverWorld has runs, each of which ends in a way of its own two seconds after it was cancelled.
func leverWorld(t *testing.T, ends map[string]kube.Status) (*kube.Runs, *Env, *bytes.Buffer) {
	t.Helper()
	dyn := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[apischema.GroupVersionResource]string{kube.Resource: "DrillRunList"})
	runs := kube.NewRuns(dyn, "")
	write := func(run *kube.DrillRun, update bool) {
		raw, err := json.Marshal(run)
		require.NoError(t, err)
		u := new(unstructured.Unstructured)
		require.NoError(t, u.UnmarshalJSON(raw))
		if update {
			_, err = dyn.Resource(kube.Resource).Namespace(kube.Namespace).Update(t.Context(), u, metav1.UpdateOptions{})
		} else {
			_, err = dyn.Resource(kube.Resource).Namespace(kube.Namespace).Create(t.Context(), u, metav1.CreateOptions{})
		}
		require.NoError(t, err)
	}
	for name, end := range ends {
		run := &kube.DrillRun{TypeMeta: metav1.TypeMeta{APIVersion: kube.Resource.GroupVersion().String(), Kind: kube.Kind},
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: kube.Namespace}, Spec: kube.Spec{Drill: "d"}, Status: kube.Status{Phase: kube.PhaseRunning}}
		write(run, false)
		if end.Phase == "" {
			continue // its runner is dead
		}
		go func() {
			for t.Context().Err() == nil {
				time.Sleep(time.Second)
				if now, err := runs.Get(t.Context(), name); err == nil && now.Spec.Cancel {
					time.Sleep(time.Second)
					now.Status = end
					write(now, true)
					return
				}
			}
		}()
	}
	out := new(bytes.Buffer)
	return runs, &Env{Stdout: out, Stderr: out, Getenv: func(string) string { return "" }}, out
}

func endedWith(phase kube.FaultPhase, residue ...string) kube.Status {
	return kube.Status{Phase: kube.PhaseFinished, Verdict: drill.VerdictInterrupted,
		Faults: []kube.FaultRecord{{Kind: "kill_primary", Name: "x", State: json.RawMessage(`{}`), Phase: phase, Residue: residue}}}
}

// TestCancelWaitsAndSaysWhatIsLeft with the exit code of the worst run.
func TestCancelWaitsAndSaysWhatIsLeft(t *testing.T) {
	for name, c := range map[string]struct {
		ends map[string]kube.Status
		args []string
		code int
		says string
	}{
		"reverted":   {map[string]kube.Status{"a": endedWith(kube.FaultReverted)}, []string{"a"}, exitOK, `Run a: interrupted; reverted fault "kill_primary" "x".`},
		"untouched":  {map[string]kube.Status{"a": {Phase: kube.PhaseFinished, Verdict: drill.VerdictInterrupted}}, nil, exitOK, "Run a: interrupted; nothing was touched."},
		"residue":    {map[string]kube.Status{"a": endedWith(kube.FaultReverted), "b": endedWith(kube.FaultResidue, "node n1\x1b[2J")}, nil, exitResidue, "NOT reverted: fault \"kill_primary\" \"x\" (node n1 [2J). Someone must act: drill recover b."},
		"dead":       {map[string]kube.Status{"a": {}}, nil, exitError, "drill recover a"},
		"no such":    {nil, []string{"z"}, exitUsage, ""},
		"none there": {nil, nil, exitOK, "no run is in flight"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				runs, env, out := leverWorld(t, c.ends)
				err := cancelRuns(t.Context(), env, runs, c.args, ending{timeout: time.Minute})
				require.Equal(t, c.code, exitCode(err), "%v %s", err, out)
				require.Contains(t, out.String(), c.says)
				require.NotContains(t, out.String(), "\x1b")
			})
		})
	}
}

// TestStatusSaysWhoMustAct by its exit code, and shows nothing that steers the terminal.
func TestStatusSaysWhoMustAct(t *testing.T) {
	now := time.Date(2026, 11, 30, 20, 0, 0, 0, time.UTC)
	well := func() *status {
		return &status{Cluster: "lab", Now: now, Client: "1", Leads: true, Policies: kube.PolicyState{Known: true, InForce: true},
			Server: kube.ServerState{Leader: "drill-server-1", Image: "failoverdrill/drill:1", Desired: 2, Ready: 2}}
	}
	for name, c := range map[string]struct {
		edit func(*status)
		code int
		says string
	}{
		"well":      {func(*status) {}, exitOK, "Server      pod drill-server-1 leads; 2 of 2 ready, 0 restarts"},
		"on hold":   {func(s *status) { s.Hold = &kube.Hold{Reason: "x\x1by", Since: now} }, exitOK, "IN FORCE (x y)"},
		"no server": {func(s *status) { s.Leads = false; s.Server.Desired = 0 }, exitRefused, "NONE LEADS: it is scaled to 0"},
		"no policy": {func(s *status) { s.Policies = kube.PolicyState{Known: true, Why: "w"} }, exitRefused, "NOT IN FORCE: w"},
		"may not ask": {func(s *status) {
			s.Policies = kube.PolicyState{Why: "you may not"}
			s.Unknown = []string{"the hold: you may not read it"}
		}, exitOK, "unknown: you may not"},
		"server unknown":  {func(s *status) { s.Leads = false; s.Server.Unknown = []string{"you may not get leases"} }, exitOK, "not known completely: you may not get leases"},
		"another version": {func(s *status) { s.Skew = skew("1.1.0", "r:5000/drill:v1.2.0") }, exitOK, "THEY DIFFER"},
		"residue": {func(s *status) {
			s.Leads = false
			s.Residue = []runStatus{{Name: "r", Phase: "finished", Faults: []faultStatus{{`fault "k" "x"`, "residue", []string{"node n1\x07"}}}}}
		}, exitResidue, "residue: node n1"},
		"missed": {func(s *status) {
			s.Missed = []missStatus{{Drill: "d\n", Missed: 2, Newest: &schedule.Miss{At: now, Reason: "drill is on hold (\x1b)"}}}
		}, exitOK, "d: missed 2, the newest"},
	} {
		t.Run(name, func(t *testing.T) {
			s := well()
			c.edit(s)
			require.Equal(t, c.code, s.code())
			var out bytes.Buffer
			require.NoError(t, s.show(&out, "text"))
			require.Contains(t, out.String(), c.says)
			require.NotContains(t, out.String(), "\x1b")
			require.NotContains(t, out.String(), "\x07")
			require.NoError(t, s.show(&out, "json"))
		})
	}
	require.Empty(t, skew("1", "r:5000/drill"))
	require.Empty(t, skew("1.0.0", "drill:1.0.0"))
	require.Empty(t, skew("f2e3780", "drill:dev-00a5"), "what is no version is not compared")
	require.Empty(t, skew("1", "drill@sha256:ab"))
}

// TestUntil is a duration or a time, and not the past, by the cluster's clock.
func TestUntil(t *testing.T) {
	now := time.Date(2026, 11, 30, 20, 0, 0, 0, time.UTC)
	at, err := untilTime("2h", now)
	require.NoError(t, err)
	require.Equal(t, now.Add(2*time.Hour), at)
	at, err = untilTime("2026-12-01T00:00:00Z", now)
	require.NoError(t, err)
	require.Equal(t, now.Add(4*time.Hour), at)
	at, err = untilTime("", now)
	require.NoError(t, err)
	require.Zero(t, at)
	for _, bad := range []string{"tomorrow", "-1h", "2026-11-30T19:00:00Z"} {
		_, err := untilTime(bad, now)
		require.Equal(t, exitUsage, exitCode(err), bad)
	}
}
