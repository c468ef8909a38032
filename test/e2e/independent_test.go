//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// writerLoop is a client that is not ours: psql, one process per write, printing when each attempt began and ended, and
// psql's exit code.
const writerLoop = `until psql -qXc 'create table if not exists independent(n int)' "$URI" 2>/dev/null; do sleep 0.5; done
while :; do began=$EPOCHREALTIME; timeout 1 psql -qXc 'insert into independent values (1)' "$URI" >/dev/null 2>&1; echo $began $EPOCHREALTIME $?; sleep 0.02; done`

// agrees compares drill's outage with the one that psql in a loop saw beside it, on the same node. The first write that
// was accepted says that the outage had ended when it came back, and the last that was not says that it had not when it
// set out: whatever the machine kept psql waiting for lies between the two.
func agrees(t *testing.T, rep drill.Report, rec drill.Recording, writes []attempt) {
	t.Helper()
	injected := float64(rep.Run.Started.UnixNano())/1e9 + float64(*rep.Faults[0].InjectedOffset)
	var gaps []float64 // between acknowledgements before the fault: the writer's own resolution
	last := math.Inf(1)
	for _, w := range writes {
		if !w.ok || w.to > injected {
			continue
		}
		if w.to > last {
			gaps = append(gaps, w.to-last)
		}
		last = w.to
	}
	require.Greater(t, len(gaps), 100)
	slices.Sort(gaps)
	resolution := gaps[len(gaps)*99/100]
	_, ended := silence(t, writes)
	back := ended.minus(span{injected, injected})
	was := rep.Recovery
	served := servedAgain(rec, was.Target)
	t.Logf("drill: served again %.3f s after the fault; for good after %.3f s [%.3f, %.3f], %d relapses", served, was.Estimate.Estimate, was.Lower, was.Upper, was.Flaps)
	t.Logf("psql:  served again %s s after the fault; own resolution %.3f s (p99 of its gaps before the fault)", back, resolution)
	require.False(t, math.IsInf(float64(was.Upper), 1))
	// Both gaps are the longest, and end with the first write after the outage. A relapse shorter than psql's resolution escapes
	// it, whether it comes after the outage or, as a single late answer, between the fault and the outage.
	require.GreaterOrEqual(t, back.to, served-resolution, "psql was back before drill says that anyone could be")
	require.LessOrEqual(t, back.from, served+resolution, "psql still failed when drill says that anyone was served")
	const rounded = 1e-6 // seconds: the report has microseconds
	require.LessOrEqual(t, served, float64(was.Upper)+rounded, "what drill publishes is after the longest gap of its own slots")
	if was.Flaps == 0 {
		require.GreaterOrEqual(t, back.to, float64(was.Lower)-resolution)
		require.LessOrEqual(t, back.from, float64(was.Upper)+resolution)
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

// startWriter starts psql on a node: what it sees of the Service is what drill's slots from there see of it.
func startWriter(t *testing.T, c *kube.Client, node string) {
	t.Helper()
	startClient(t, c, "independent", node, []string{"bash", "-c", writerLoop})
}

// startClient runs a client of the test's own in a pod of that name, on a node unless that is empty, with the application's
// connection string, and waits until it has said something.
func startClient(t *testing.T, c *kube.Client, name, node string, command []string) {
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
		NodeName: node, TerminationGracePeriodSeconds: new(int64), RestartPolicy: corev1.RestartPolicyNever,
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

// psqlWrites are the writer's, in seconds of the clock on the wall.
func psqlWrites(t *testing.T, c *kube.Client) []attempt {
	t.Helper()
	var writes []attempt
	for line := range strings.Lines(printed(t, c, "independent")) {
		var w attempt
		var code int
		_, err := fmt.Sscan(line, &w.from, &w.to, &code)
		require.NoError(t, err, line)
		w.ok = code == 0
		writes = append(writes, w)
	}
	return writes
}
