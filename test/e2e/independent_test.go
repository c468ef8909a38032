//go:build e2e

package e2e

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// writerLoop is a client that is not ours: psql, one process per write, printing the time of every acknowledgement.
const writerLoop = `until psql -qXc 'create table if not exists independent(n int)' "$URI" 2>/dev/null; do sleep 0.5; done
while :; do timeout 1 psql -qXc 'insert into independent values (1)' "$URI" >/dev/null 2>&1 && date +%s.%N; sleep 0.02; done`

// agrees compares drill's outage with the one that psql in a loop saw beside it. The writer is closed loop with a
// timeout of 1 s, so it may see the outage longer by that and by one round of its own.
func agrees(t *testing.T, rep drill.Report, rec drill.Recording, acks []float64) {
	t.Helper()
	require.Greater(t, len(acks), 200)

	injected := float64(rep.Run.Started.UnixNano())/1e9 + float64(*rep.Faults[0].InjectedOffset)
	var gaps []float64 // between acknowledgements before the fault: the writer's own resolution
	var begin, end float64
	for i := 1; i < len(acks); i++ {
		gap := acks[i] - acks[i-1]
		switch {
		case acks[i] < injected:
			gaps = append(gaps, gap)
		case gap > end-begin:
			begin, end = acks[i-1], acks[i]
		}
	}
	slices.Sort(gaps)
	resolution := gaps[len(gaps)*99/100]
	back := end - injected
	was := rep.Recovery
	served := servedAgain(rec, was.Target)
	t.Logf("drill: served again %.3f s after the fault; for good after %.3f s [%.3f, %.3f], %d relapses", served, was.Estimate.Estimate, was.Lower, was.Upper, was.Flaps)
	t.Logf("psql:  write accepted again %.3f s after the fault, gap %.3f s; own resolution %.3f s (p99 of its gaps before the fault), timeout 1 s", back, end-begin, resolution)
	require.False(t, math.IsInf(float64(was.Upper), 1))
	// Both gaps are the longest, and end with the first write after the outage. A relapse shorter than psql's resolution escapes
	// it, whether it comes after the outage or, as a single late answer, between the fault and the outage.
	require.GreaterOrEqual(t, back, served-resolution, "psql was back before drill says that anyone could be")
	require.LessOrEqual(t, back, served+resolution+1, "psql was back later than its own resolution explains")
	const rounded = 1e-6 // seconds: the report has microseconds
	require.LessOrEqual(t, served, float64(was.Upper)+rounded, "what drill publishes is after the longest gap of its own slots")
	if was.Flaps == 0 {
		require.GreaterOrEqual(t, back, float64(was.Lower)-resolution)
		require.LessOrEqual(t, back, float64(was.Upper)+resolution+1)
	}
}

// servedAgain is when the longest gap between writes that drill's slots through the Service had accepted after the fault was
// over, in seconds after it.
func servedAgain(rec drill.Recording, target string) float64 {
	var injected drill.Offset
	var acks []drill.Offset
	for e := range rec.Events {
		if e.Type == drill.EventFault && e.Fault.State == drill.FaultInjected {
			injected = e.Fault.From
		}
		for _, s := range e.Samples {
			if s.Probe == target && s.Write && s.Outcome == drill.OutcomeOK {
				acks = append(acks, s.Done)
			}
		}
	}
	slices.Sort(acks)
	var begin, end drill.Offset
	for i := 1; i < len(acks); i++ {
		if acks[i] > injected && acks[i].Sub(acks[i-1]) > end.Sub(begin) {
			begin, end = acks[i-1], acks[i]
		}
	}
	return end.Sub(injected).Seconds()
}

func startWriter(t *testing.T, c *kube.Client) {
	t.Helper()
	startClient(t, c, "independent", []string{"bash", "-c", writerLoop})
}

// startClient runs a client of the test's own in a pod of that name, with the application's connection string, and waits
// until it has said something.
func startClient(t *testing.T, c *kube.Client, name string, command []string) {
	t.Helper()
	ctx := context.Background()
	pods := c.CoreV1().Pods(shop)
	remove := func() { _ = pods.Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)}) }
	remove()
	t.Cleanup(remove)
	eventually(t, time.Minute, "the old client is gone", func() (bool, string) {
		_, err := pods.Get(ctx, name, metav1.GetOptions{})
		return err != nil, "still there"
	})
	uri := &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "orders-app"}, Key: "uri"}}
	_, err := pods.Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{
		TerminationGracePeriodSeconds: new(int64), RestartPolicy: corev1.RestartPolicyNever,
		Containers: []corev1.Container{{Name: "client", Image: "failoverdrill/patroni:demo", ImagePullPolicy: corev1.PullNever,
			Command: command, Env: []corev1.EnvVar{{Name: "URI", ValueFrom: uri}, {Name: "PGCONNECT_TIMEOUT", Value: "1"}}}},
	}}, metav1.CreateOptions{})
	require.NoError(t, err)
	eventually(t, time.Minute, "the client has said something", func() (bool, string) {
		return printed(t, c, name) != "", "nothing yet"
	})
}

// printed is all that a client has printed so far.
func printed(t *testing.T, c *kube.Client, name string) string {
	t.Helper()
	raw, err := c.CoreV1().Pods(shop).GetLogs(name, &corev1.PodLogOptions{}).DoRaw(context.Background())
	if err != nil {
		return ""
	}
	return string(raw)
}

func writerAcks(t *testing.T, c *kube.Client) []float64 {
	t.Helper()
	var acks []float64
	for line := range strings.Lines(printed(t, c, "independent")) {
		at, err := strconv.ParseFloat(strings.TrimSpace(line), 64)
		require.NoError(t, err, line)
		acks = append(acks, at)
	}
	return acks
}
