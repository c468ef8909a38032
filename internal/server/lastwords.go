package server

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// Bounds of reading a dead runner's log.
const (
	lastWordsWithin = revertGrace + 15*time.Second // a runner that is told to end has its grace for it
	lastWordsLines  = 5000                         // the report comes near the end; what follows are failures to record it
	lastWordsBytes  = 8 << 20
)

// lastWords is the report that a runner printed and could not record, because it was cut off from the API server; nil
// without one. A runner that still runs is told to end, and its log read until it has.
func (r *reconciler) lastWords(ctx context.Context, run *kube.DrillRun) *drill.Report {
	ctx, cancel := context.WithTimeout(ctx, lastWordsWithin)
	defer cancel()
	pods := r.o.Client.CoreV1().Pods(r.o.Namespace)
	pod, err := pods.Get(ctx, run.Status.Runner.Pod, metav1.GetOptions{})
	if err != nil || pod.UID != types.UID(run.Status.Runner.UID) {
		return nil
	}
	running := !kubeTerminal(pod)
	stream, err := pods.GetLogs(pod.Name, &corev1.PodLogOptions{Container: kube.RunnerContainer, Follow: running,
		TailLines: new(int64(lastWordsLines)), LimitBytes: new(int64(lastWordsBytes))}).Stream(ctx)
	if err != nil {
		r.o.Log.Warn("the dead runner's log cannot be read", zap.String("run", run.Name), zap.Error(err))
		return nil
	}
	defer func() { _ = stream.Close() }()
	if running { // only now: with the pod goes its log
		if err := r.deletePod(ctx, pod.Name, pod.UID); err != nil && !apierrors.IsNotFound(err) {
			r.o.Log.Warn("the runner cannot be told to end", zap.String("run", run.Name), zap.Error(err))
		}
	}
	return reportIn(stream, run)
}

// reportIn is the report of the run in a runner's log.
func reportIn(log io.Reader, run *kube.DrillRun) *drill.Report {
	lines := bufio.NewScanner(io.LimitReader(log, lastWordsBytes))
	lines.Buffer(make([]byte, 0, 64<<10), 4<<20)
	for lines.Scan() {
		var e drill.Event
		if json.Unmarshal(lines.Bytes(), &e) == nil && e.Type == drill.EventReport && e.Report != nil && e.Report.Run.ID == run.Name {
			return e.Report // a runner prints one
		}
	}
	return nil
}

// outcomeOf is how a dead runner's run ended: by the report that it left in its log, or as an error.
func outcomeOf(report *drill.Report, why, done string) kube.Outcome {
	if report == nil {
		return kube.Outcome{Verdict: drill.VerdictError, Message: fmt.Sprintf("The runner died: %s. %s", why, done)}
	}
	said := fmt.Sprintf("The runner could not record this result itself: %s. The server took it from its log. %s", why, done)
	report.Findings = append(report.Findings, drill.Finding{Severity: "warning", Code: "report_from_log", Text: said})
	message := said
	if len(report.Run.Reasons) > 0 {
		message = report.Run.Reasons[0].Text + " " + said
	}
	return kube.Outcome{Verdict: report.Run.Verdict, Message: message, Report: report}
}
