package server

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/schedule"
)

// site is the port of a server that does not lead.
func (w *world) site() http.Handler {
	o := w.o
	o.Registry, o.PageAuth = prometheus.NewRegistry(), AuthAnonymous
	w.Helper()
	book, err := json.Marshal(schedule.Book{Entries: []schedule.Entry{{Drill: "d", Next: time.Now().Add(50 * time.Hour), Missed: 3},
		{Drill: "monthly", Next: time.Now()}, {Drill: "off", Next: time.Now(), Paused: true}}})
	require.NoError(w, err)
	if there, _, _ := kube.NewSchedules(w.o.Client, ns).Book(w.Context()); len(there) == 0 {
		_, err := kube.NewSchedules(w.o.Client, ns).SaveBook(w.Context(), book, "")
		require.NoError(w, err)
	}
	return handler(o, &elector{options: o, index: w.indexed()}, newReadiness(o.Client, o.Log))
}

// indexed is a new server's index, which sees what is there.
func (w *world) indexed() *index {
	w.Helper()
	x := newIndex(w.o)
	ctx, cancel := context.WithCancel(w.Context())
	done := make(chan struct{})
	go func() { defer close(done); x.run(ctx) }()
	w.Cleanup(func() { cancel(); <-done })
	return x
}

func (w *world) get(site http.Handler, path string) *httptest.ResponseRecorder {
	w.Helper()
	got := httptest.NewRecorder()
	site.ServeHTTP(got, httptest.NewRequest("GET", path, nil))
	return got
}

// months makes a history in which everything happens.
func (w *world) months() {
	w.Helper()
	for i := range 9 {
		at := time.Now().Add(-time.Duration(9-i) * 24 * time.Hour)
		length := drill.Seconds(12 + 3*float64(i%4) + 0.37*float64(i))
		verdict, back := drill.VerdictPassed, drill.Estimate{Estimate: length, Lower: length - 0.4, Upper: length + 0.6}
		if i == 5 {
			verdict, back = drill.VerdictFailed, drill.Estimate{Estimate: drill.Never(), Lower: 22, Upper: drill.Never()}
		}
		w.record(fmt.Sprintf("2026-11-2%dt10-04-05z-d-000%d", i, i), over(verdict, 0, func(r *drill.Report) {
			r.Run.Started, r.Run.Finished, r.Run.ID = at, at.Add(2*time.Minute), fmt.Sprint("r", i)
			r.Recovery.Estimate, r.Recovery.Redundancy = back, new(length+20)
			r.Writes = &drill.WritesReport{Sent: 900, Lost: new(i % 2)}
			r.ReplicationLag = &drill.LagReport{Before: &drill.Bounds{Upper: 0.02}}
			r.Objectives = []drill.ObjectiveReport{{Name: drill.ObjectiveRecoveryTime, LimitSeconds: new(drill.Seconds(30)), Met: true}}
			if verdict == drill.VerdictFailed {
				r.Run.Reasons = []drill.Reason{{Code: "objective_missed", Text: "Writes never came back."}}
			}
		}), func(r *kube.DrillRun) {
			r.CreationTimestamp, r.Status.Finished = metav1.NewTime(at), new(metav1.NewTime(at.Add(2*time.Minute)))
		})
	}
}

func TestThePageShowsEveryDrill(t *testing.T) {
	w := newWorld(t)
	w.months()
	got := w.get(w.site(), "/")
	require.Equal(t, http.StatusOK, got.Code)
	body := got.Body.String()
	for _, want := range []string{"✓ passed", "14.96 s", "14.56 s and 15.56 s", "23 hours ago", "in 2 days", "3 missed", "never", "monthly", "paused", "objective 30 s",
		`href="runs/2026-11-28t10-04-05z-d-0008"`, `class="never"`, "at most 0.020 s", "Chart of recovery in 9 runs"} {
		require.Contains(t, body, want)
	}
	require.Equal(t, 8, strings.Count(body, "<circle"), "a dot for each run that recovered")
	var page struct{}
	decoder := xml.NewDecoder(strings.NewReader(body[strings.Index(body, "<svg"):]))
	require.NoError(t, decoder.Decode(&page), "the chart is well-formed")
	require.Equal(t, "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'", got.Header().Get("Content-Security-Policy"))
	for _, outside := range []string{"http://", "https://", "<script", "style=\"", "onload"} {
		require.NotContains(t, body, outside, "nothing leaves the machine")
	}
	require.Contains(t, w.get(w.site(), "/style.css").Body.String(), "prefers-color-scheme")
}

// TestThePageShowsTheWorseClass: a service that nobody new can reach is not back, and the page must not say 2.2 s.
func TestThePageShowsTheWorseClass(t *testing.T) {
	w := newWorld(t)
	w.record("a", over(drill.VerdictFailed, 0, func(r *drill.Report) {
		r.Recovery.HeadlineClass, r.Recovery.Estimate = drill.ClassPooled, drill.Estimate{Estimate: 2.2, Lower: 2.19, Upper: 2.23}
		r.Recovery.ByClass = map[drill.Class]drill.Estimate{drill.ClassFresh: {Estimate: drill.Never(), Lower: 68.9, Upper: drill.Never()}}
	}))
	body := w.get(w.site(), "/").Body.String()
	require.Contains(t, body, "<dd>never<small>still failing after 68.90 s, of new connections;")
	require.Contains(t, body, "2.20 s  [2.19, 2.23]; new connections never</td>")
	require.Contains(t, body, `class="never"`)
	require.NotContains(t, body, "<circle")
}

func TestThePageWithoutRuns(t *testing.T) {
	w := newWorld(t)
	w.o.PageAuth = AuthAnonymous
	site := handler(w.o, &elector{options: w.o, index: w.indexed()}, newReadiness(w.o.Client, w.o.Log))
	require.Contains(t, w.get(site, "/").Body.String(), "No drill has run yet")
	require.Equal(t, http.StatusNotFound, w.get(site, "/runs/none").Code)
	require.Equal(t, http.StatusNotFound, w.get(site, "/other").Code)
}

func TestARunsPage(t *testing.T) {
	w := newWorld(t)
	w.record("a", over(drill.VerdictPassed, 1))
	w.record("b", running())
	w.record("c", kube.Status{Phase: kube.PhaseFinished, Verdict: drill.VerdictRefused, Message: "alice may not"})
	site := w.site()
	require.Contains(t, w.get(site, "/runs/a").Body.String(), "PASSED")
	got := w.get(site, "/runs/a/report.json")
	require.Equal(t, "application/json", got.Header().Get("Content-Type"))
	var rep drill.Report
	require.NoError(t, json.Unmarshal(got.Body.Bytes(), &rep))
	require.InDelta(t, 12.3, float64(rep.Recovery.Estimate.Estimate), 0)
	require.Contains(t, w.get(site, "/runs/a/report.xml").Body.String(), "<testsuites")
	require.Equal(t, http.StatusNotFound, w.get(site, "/runs/a/report.pdf").Code)
	require.Contains(t, w.get(site, "/runs/b").Body.String(), "no report until the run is over")
	require.Equal(t, http.StatusNotFound, w.get(site, "/runs/b/report.json").Code)
	require.Contains(t, w.get(site, "/runs/c").Body.String(), "alice may not")
	post := httptest.NewRecorder()
	site.ServeHTTP(post, httptest.NewRequest("POST", "/runs/a", nil))
	require.Equal(t, http.StatusMethodNotAllowed, post.Code)
}

// TestWhatTheClusterSaysIsTextOnly: names, messages and reports come from whoever may ask for a run.
func TestWhatTheClusterSaysIsTextOnly(t *testing.T) {
	const nasty = `<script>alert(1)</script><img src=x onerror=alert(2)>"'`
	w := newWorld(t)
	w.record("a", over(drill.VerdictFailed, 1, func(r *drill.Report) {
		r.Run.ID, r.Run.Drill, r.Run.Description = nasty, nasty, nasty
		r.Run.Reasons = []drill.Reason{{Code: "x", Text: nasty}}
		r.Faults[0].Residue = []string{nasty}
		r.Objectives = []drill.ObjectiveReport{{Name: nasty}}
	}), func(r *kube.DrillRun) {
		r.Spec.Drill = nasty
		r.Status.Faults = []kube.FaultRecord{{Kind: nasty, Name: nasty, State: json.RawMessage("{}"), Phase: kube.FaultResidue, Residue: []string{nasty}}}
	})
	w.record("b", kube.Status{Phase: kube.PhaseFinished, Verdict: nasty, Message: nasty})
	w.record("c", kube.Status{Phase: nasty, Message: nasty})
	site := w.site()
	for _, path := range []string{"/", "/runs/a", "/runs/b", "/runs/c"} {
		body := w.get(site, path).Body.String()
		require.NotContains(t, body, "<script", path)
		require.NotContains(t, body, "<img", path)
		require.Contains(t, body, "&lt;script", path)
	}
	require.Contains(t, w.get(site, "/").Body.String(), "Someone must act")
}

// TestReloadingAsksTheClusterSeldom: the port is open to every pod.
func TestReloadingAsksTheClusterSeldom(t *testing.T) {
	w := newWorld(t)
	site := w.site()
	w.get(site, "/")
	w.record("a", over(drill.VerdictPassed, 1))
	require.NotContains(t, w.get(site, "/").Body.String(), "passed</span>")
	require.Contains(t, w.get(w.site(), "/").Body.String(), "passed</span>")
}

func TestNiceSteps(t *testing.T) {
	for least, want := range map[float64]float64{0: 0.1, 0.03: 0.05, 1: 1, 1.1: 2, 7: 10, 30: 50, 100: 100} {
		require.InDelta(t, want, niceStep(least), 1e-9, least)
	}
	require.Nil(t, drawRecovery(nil, nil))
}
