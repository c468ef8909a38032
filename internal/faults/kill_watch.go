package faults

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
)

// watchEvery is the pause between two looks at the victims of a kill.
const watchEvery = 100 * time.Millisecond

// death is what has been seen so far of the end of one victim. The API server removes the object of a forced delete at
// once and the Service drops the pod, while its process lives until the kubelet ends it: for about 2 s it serves those
// who are connected. A victim is therefore dead only when nothing is left of all three.
type death struct {
	victim     drill.Member
	forced     bool // a forced delete; the object of any other is removed after its process has ended
	injected   time.Time
	gone       time.Time // since when the pod object is; zero: it is there
	refusing   time.Time // since when no new connection is accepted; zero: one is
	connection drill.Connection
}

// watchDeath begins to watch a victim. Without a time of the injection, times count from now.
func watchDeath(victim drill.Member, forced bool, injected time.Time) *death {
	if injected.IsZero() {
		injected = time.Now()
	}
	return &death{victim: victim, forced: forced, injected: injected}
}

// look looks at the victim once, and returns its pod as it was read. A look that was cut short changes nothing.
func (v *death) look(ctx context.Context, d Deps, target Target) (*corev1.Pod, error) {
	pod, err := d.Kube.CoreV1().Pods(v.victim.Namespace).Get(ctx, v.victim.Name, metav1.GetOptions{})
	gone := apierrors.IsNotFound(err) || err == nil && string(pod.UID) != v.victim.UID
	answers := !gone && (err != nil || pod.DeletionTimestamp == nil) || target.Answers(ctx, v.victim)
	if ctx.Err() != nil {
		return pod, ctx.Err()
	}
	now := time.Now()
	v.gone = keepSince(v.gone, gone, now)
	v.refusing = keepSince(v.refusing, !answers, now)
	v.connection = target.Connection(v.victim)
	if s := v.connection.Since; !s.IsZero() && s.Before(v.injected) {
		v.connection = drill.Connection{} // it ended before the injection and proves nothing
	}
	return pod, err
}

// keepSince returns since when something is so; zero while it is not.
func keepSince(since time.Time, is bool, now time.Time) time.Time {
	switch {
	case !is:
		return time.Time{}
	case since.IsZero():
		return now
	}
	return since
}

// over reports whether nothing is left of the victim.
func (v *death) over() bool {
	return !v.gone.IsZero() && !v.refusing.IsZero() && v.connection.State != drill.ConnectionOpen
}

// String says what is missing for the death of the victim.
func (v *death) String() string {
	text := "the pod object is still there"
	if !v.gone.IsZero() {
		text = "the pod object is gone after " + v.after(v.gone)
	}
	if v.refusing.IsZero() {
		text += "; the address still accepts new connections"
	} else {
		text += "; no new connection from " + v.after(v.refusing) + " on"
	}
	if v.connection.State == drill.ConnectionOpen {
		text += "; the connection that drill had opened before is still open"
	}
	return text
}

func (v *death) after(t time.Time) string { return sayAfter(t.Sub(v.injected)) }

func sayAfter(d time.Duration) string { return fmt.Sprintf("%.1f s", max(d, 0).Seconds()) }

// describeDeaths says by what it is known that the victims are dead, and how long after the injection the last of them
// was. It is empty when there are none.
func describeDeaths(all []*death) string {
	if len(all) == 0 {
		return ""
	}
	var gone, refusing, ended, silent time.Duration
	var n struct{ ended, silent, none int }
	for _, v := range all {
		gone = max(gone, v.gone.Sub(v.injected))
		refusing = max(refusing, v.refusing.Sub(v.injected))
		since := v.connection.Since.Sub(v.injected)
		switch v.connection.State {
		case drill.ConnectionEnded:
			n.ended, ended = n.ended+1, max(ended, since)
		case drill.ConnectionSilent:
			n.silent, silent = n.silent+1, max(silent, since)
		default:
			if v.forced {
				n.none++
			}
		}
	}
	pods := "pod object"
	if len(all) > 1 {
		pods = fmt.Sprintf("%d pod objects", len(all))
	}
	parts := []string{pods + " gone after " + sayAfter(gone), "no new connection from " + sayAfter(refusing) + " on"}
	if n.ended > 0 {
		parts = append(parts, openConnections(n.ended, len(all))+" ended after "+sayAfter(ended))
	}
	if n.silent > 0 {
		parts = append(parts, openConnections(n.silent, len(all))+" without an answer, given up after "+sayAfter(silent))
	}
	switch {
	case n.none > 0 && n.none == len(all):
		parts = append(parts, "no connection was open that could have shown when the process ended")
	case n.none > 0:
		parts = append(parts, fmt.Sprintf("to %d of them no connection was open that could have shown when the process ended", n.none))
	}
	return strings.Join(parts, "; ")
}

// openConnections counts the connections that drill had opened before the injection, of so many victims.
func openConnections(n, of int) string {
	switch {
	case of == 1:
		return "open connection"
	case n == 1:
		return "1 open connection"
	}
	return fmt.Sprintf("%d open connections", n)
}
