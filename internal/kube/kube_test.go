package kube_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

func TestRunIDsAreNamesOfPods(t *testing.T) {
	now := time.Date(2026, 11, 21, 11, 4, 5, 0, time.FixedZone("", 3600))
	for name, want := range map[string]string{
		"kill-primary": `^2026-11-21t10-04-05z-kill-primary-[0-9a-f]{4}$`,
		"Kill_Primary": `^2026-11-21t10-04-05z-kill-primary-[0-9a-f]{4}$`,
		"ä":            `^2026-11-21t10-04-05z-[0-9a-f]{4}$`,
		"a-very-long-name-that-goes-on-and-on-and-on-for-ever": `^2026-11-21t10-04-05z-a-very-long-name-that-goes-[0-9a-f]{4}$`,
	} {
		id := kube.RunID(now, name)
		require.Regexp(t, want, id)
		require.Empty(t, validation.IsDNS1123Label(kube.RunnerPod(id)))
		require.Empty(t, validation.IsDNS1123Label(kube.RunnerPod(kube.TrialID(id, 1000))))
		require.Equal(t, id, kube.TrialID(id, 1))
		for form, id := range map[string]string{"s": kube.ScheduledRunID(now, name), "l": kube.LocalRunID(now, name)} {
			require.Regexp(t, strings.Replace(want, "-[0-9a-f]{4}$", "-"+form+"[0-9a-f]{4}$", 1), id, "the policy goes by this")
			require.Empty(t, validation.IsDNS1123Label(kube.RunnerPod(kube.TrialID(id, 1000))))
		}
	}
}

func TestLeaseNamesAreValidAndDiffer(t *testing.T) {
	seen := map[string]bool{}
	for _, scope := range []string{"namespace/shop", "namespace-shop", "node/Worker.1", "node/" + strings.Repeat("x", 200), "", "/"} {
		name := kube.LeaseName(scope)
		require.Empty(t, validation.IsDNS1123Subdomain(name), scope)
		require.False(t, seen[name])
		seen[name] = true
	}
}

func TestAClusterThatCannotBeReachedIsNamed(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	require.NoError(t, err)
	defer func() { _ = silent.Close() }()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, gone.Close())
	config := filepath.Join(t.TempDir(), "config")
	write := func(address string) {
		require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
apiVersion: v1
kind: Config
current-context: lab
contexts: [{name: lab, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "https://%s"}}]
users: [{name: u, user: {token: secret-token}}]
`, address), 0o600))
	}
	write(gone.Addr().String())
	_, err = kube.Connect(config, "")
	require.ErrorContains(t, err, `context "lab" at https://`+gone.Addr().String())
	require.ErrorContains(t, err, "refused")

	write(silent.Addr().String())
	began := time.Now()
	_, err = kube.Connect(config, "")
	require.ErrorContains(t, err, "did not answer within")
	require.Less(t, time.Since(began), 7*time.Second)
	require.NotContains(t, err.Error(), "secret-token")

	_, err = kube.Connect(config, "other")
	require.EqualError(t, err, `the kubeconfig has no context "other". Choose one with --context: lab`)
	text, err := os.ReadFile(config)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(config, []byte(strings.Replace(string(text), "current-context: lab", "", 1)), 0o600))
	_, err = kube.Connect(config, "")
	require.EqualError(t, err, "the kubeconfig has no current context. Choose one with --context: lab")
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	t.Setenv("KUBECONFIG", "/no/such/config")
	_, err = kube.Connect("", "")
	require.ErrorContains(t, err, "/no/such/config, which KUBECONFIG names, is not there", "it is set")
	_, err = kube.Connect(filepath.Join(t.TempDir(), "none"), "")
	require.ErrorContains(t, err, "kubeconfig")
}

func TestTroubleOfAPod(t *testing.T) {
	waiting := func(reason string) corev1.PodStatus {
		return corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{Image: "drill:x",
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "why"}}}}}
	}
	for name, c := range map[string]struct {
		status     corev1.PodStatus
		code, text string
	}{
		"none":      {corev1.PodStatus{Phase: corev1.PodRunning}, "", ""},
		"creating":  {waiting("ContainerCreating"), "", ""},
		"image":     {waiting("ImagePullBackOff"), kube.TroubleImage, "its node has no image drill:x and cannot pull it (ImagePullBackOff: why)"},
		"bad image": {waiting("InvalidImageName"), kube.TroubleImage, "image drill:x cannot be used (InvalidImageName: why)"},
		"container": {waiting("CreateContainerError"), kube.TroubleContainer, "its container cannot be started (CreateContainerError: why)"},
		"taint": {corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse,
			Reason: "Unschedulable", Message: "0/4 nodes are available."}}}, kube.TroubleUnschedulable, "no node takes it: 0/4 nodes are available"},
		"exit": {corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled", Message: "one\nlast words\n"}}}}},
			kube.TroubleFailed, "its container ended with exit code 137 (OOMKilled): last words"},
		"deadline": {corev1.PodStatus{Phase: corev1.PodFailed, Reason: "DeadlineExceeded", Message: "Pod was active too long"},
			kube.TroubleFailed, "DeadlineExceeded Pod was active too long"},
	} {
		got := kube.PodTrouble(&corev1.Pod{Status: c.status})
		if c.code == "" {
			require.Nil(t, got, name)
			continue
		}
		require.NotNil(t, got, name)
		require.Equal(t, c.code, got.Code, name)
		require.Equal(t, c.text, got.Text, name)
	}
}

func TestAReportThatIsTooLongLosesItsDetailAndSaysSo(t *testing.T) {
	report := &drill.Report{Run: drill.RunReport{ID: "r", Verdict: drill.VerdictPassed}, Primaries: &drill.PrimariesReport{}}
	small, err := kube.Fit(report)
	require.NoError(t, err)
	require.NotContains(t, string(small), "record_shortened")
	for range 1000 {
		report.Primaries.Disagreements = append(report.Primaries.Disagreements, drill.Disagreement{Views: map[string]string{"label": "a", "member": "b"}})
		report.Findings = append(report.Findings, drill.Finding{Code: "c", Text: strings.Repeat("long ", 20)})
	}
	raw, err := kube.Fit(report)
	require.NoError(t, err)
	require.LessOrEqual(t, len(raw), kube.MaxReport)
	var got drill.Report
	require.NoError(t, json.Unmarshal(raw, &got))
	require.Equal(t, drill.VerdictPassed, got.Run.Verdict)
	require.Len(t, got.Primaries.Disagreements, 20)
	require.Contains(t, string(raw), "record_shortened")
	require.Len(t, report.Findings, 1000, "the report itself is left alone")
	require.Len(t, report.Primaries.Disagreements, 1000)

	report.Run.Description = strings.Repeat("x", 20<<10)
	raw, err = kube.Fit(report)
	require.NoError(t, err)
	require.LessOrEqual(t, len(raw), kube.MaxReport)
}

// TestATargetThatFlapsKeepsItsRecovery: of many outages the record keeps the first ones and the last, whose end is the recovery.
func TestATargetThatFlapsKeepsItsRecovery(t *testing.T) {
	report := &drill.Report{Run: drill.RunReport{ID: "r"}, Recovery: &drill.RecoveryReport{Estimate: drill.Estimate{Estimate: 300}}}
	for i := range 300 {
		report.Recovery.Outages = append(report.Recovery.Outages, drill.OutageReport{Start: drill.Seconds(i), Seconds: 0.5, Kind: drill.OutageFailed, Fault: "kill_primary orders"})
	}
	raw, err := kube.Fit(report)
	require.NoError(t, err)
	require.LessOrEqual(t, len(raw), kube.MaxReport)
	var got drill.Report
	require.NoError(t, json.Unmarshal(raw, &got))
	require.Equal(t, drill.Seconds(300), got.Recovery.Estimate.Estimate)
	require.Len(t, got.Recovery.Outages, 10)
	require.Equal(t, drill.Seconds(8), got.Recovery.Outages[8].Start)
	require.Equal(t, drill.Seconds(299), got.Recovery.Outages[9].Start)
	require.Contains(t, string(raw), "outages between the 9th and the last")
	require.Len(t, report.Recovery.Outages, 300, "the report itself is left alone")
}
