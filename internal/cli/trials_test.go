package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime"
	apischema "k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/test/bubble"
)

// shown is what was written, by any goroutine: what a signal says is written beside the run.
type shown struct {
	mu sync.Mutex
	bytes.Buffer
}

func (s *shown) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Buffer.Write(b)
}

func (s *shown) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Buffer.String()
}

// rehearsal is a drill run command whose trials are scripted, over records that exist in memory only.
type rehearsal struct {
	*testing.T
	*trials
	out, errs shown
	dir       string
	signals   []chan<- os.Signal
	// trial is what becomes of a trial; the server's part after it is the script's, too.
	trial func(number int, interrupted context.Context, run *kube.DrillRun) drill.Verdict
	names []string
}

func rehearse(t *testing.T, repeat int) *rehearsal {
	r := &rehearsal{T: t, dir: t.TempDir()}
	env := &Env{Stdout: &r.out, Stderr: &r.errs, Getenv: func(name string) string { return map[string]string{"XDG_STATE_HOME": r.dir}[name] },
		Notify: func(c chan<- os.Signal) { r.signals = append(r.signals, c) }, Exit: func(int) { t.Fatal("exit") }}
	dyn := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[apischema.GroupVersionResource]string{kube.Resource: "DrillRunList"})
	files, err := parseReports([]string{"json=" + r.dir + "/last.json", "json=" + r.dir + "/trial-{trial}.json", "junit=" + r.dir + "/all.xml"})
	require.NoError(t, err)
	r.trials = &trials{env: env, client: &kube.Client{Dynamic: dyn, Context: "test"}, runs: kube.NewRuns(dyn, ""),
		drill: &loaded{Drill: &drill.Drill{Name: "kill", Repeat: repeat}}, view: newView(env, ""), files: files}
	r.output("")
	r.one = func(_, interrupted context.Context, run *kube.DrillRun) (drill.Report, []byte, error) {
		r.names = append(r.names, run.Name)
		_, number := run.Trial()
		return r.report(run.Name, number, r.trial(number, interrupted, run)), nil, nil
	}
	return r
}

func (r *rehearsal) report(name string, number int, v drill.Verdict) drill.Report {
	rep := drill.Report{FormatVersion: "1", Run: drill.RunReport{ID: name, Drill: "kill", Verdict: v, Trial: number, Trials: r.drill.Repeat}}
	if v.Measured() {
		s := drill.Seconds(10 * number)
		rep.Recovery = &drill.RecoveryReport{Outcome: drill.OutcomeFailedOver, Estimate: drill.Estimate{Estimate: s, Lower: s - 0.25, Upper: s + 0.5}}
		rep.Writes = &drill.WritesReport{Lost: new(0)}
	} else {
		rep.Run.Reasons = []drill.Reason{{Code: "x", Text: "This is why."}}
	}
	return rep
}

// next does what the server does after a trial.
func (r *rehearsal) next(run *kube.DrillRun) {
	_, err := r.runs.CreateTrial(context.WithoutCancel(r.Context()), run)
	require.NoError(r, err)
}

func (r *rehearsal) ctrlC() {
	for _, c := range r.signals {
		c <- os.Interrupt
	}
	synctest.Wait()
}

// start runs the command and returns its exit code.
func (r *rehearsal) start(local bool) int {
	return exitCode(r.run(r.Context(), kube.Spec{Drill: "kill", File: "kill.hcl", Source: "text", Requester: kube.Requester{User: "alice"}, Local: local}))
}

func (r *rehearsal) read(name string) (rep drill.Report) {
	raw, err := os.ReadFile(filepath.Join(r.dir, name))
	require.NoError(r, err)
	require.NoError(r, json.Unmarshal(raw, &rep))
	return rep
}

func TestThreeTrials(t *testing.T) {
	for _, local := range []bool{false, true} {
		bubble.Test(t, func(t *testing.T) {
			r := rehearse(t, 3)
			r.trial = func(number int, _ context.Context, run *kube.DrillRun) drill.Verdict {
				if !local && number < 3 {
					go func() { time.Sleep(4 * time.Second); r.next(run) }() // the server takes its time
				}
				return drill.VerdictPassed
			}
			require.Zero(t, r.start(local), r.errs.String())
			require.Len(t, r.names, 3)
			require.Equal(t, r.names[0]+"-t2", r.names[1])
			require.Equal(t, r.names[0]+"-t3", r.names[2])
			require.Equal(t, 1, strings.Count(r.out.String(), "trial 2 of 3  PASSED"), r.out.String())
			require.Contains(t, r.out.String(), "back after 20.00 s  [19.75, 20.50], 0 lost")
			require.Contains(t, r.out.String(), "3 of 3 trials: 3 passed")
			require.Contains(t, r.out.String(), "3 clean runs still leave a 63 % failure probability")
			require.NotContains(t, r.out.String(), "Recovery time", "no whole report of each")
			require.Contains(t, r.errs.String(), "Trial 3 of 3: run "+r.names[2])
			require.NotContains(t, r.errs.String(), "ended")

			last := r.read("last.json")
			require.Equal(t, 3, last.Run.Trial)
			require.Equal(t, 3, last.Statistics.N)
			require.Equal(t, drill.Seconds(20), *last.Statistics.Median)
			require.Equal(t, 2, r.read("trial-2.json").Statistics.N)
			xml, err := os.ReadFile(filepath.Join(r.dir, "all.xml"))
			require.NoError(t, err)
			for _, name := range r.names {
				require.Contains(t, string(xml), name)
			}
			kept, err := localReports(r.env)
			require.NoError(t, err)
			require.Len(t, kept, 3)
		})
	}
}

func TestATrialThatMeasuredNothingIsTheLast(t *testing.T) {
	for verdict, want := range map[drill.Verdict]struct {
		code int
		says string
	}{
		drill.VerdictInvalid:     {15, "cannot be vouched for"},
		drill.VerdictAborted:     {12, "abort condition"},
		drill.VerdictRefused:     {11, "refused"},
		drill.VerdictError:       {1, "drill itself failed"},
		drill.VerdictInterrupted: {13, "interrupted"},
	} {
		bubble.Test(t, func(t *testing.T) {
			r := rehearse(t, 9)
			r.trial = func(number int, _ context.Context, run *kube.DrillRun) drill.Verdict {
				if number == 2 {
					return verdict
				}
				r.next(run)
				return drill.VerdictPassed
			}
			require.Equal(t, want.code, r.start(false), verdict)
			require.Len(t, r.names, 2)
			require.Contains(t, r.errs.String(), "The series ended after trial 2 of 9: ")
			require.Contains(t, r.errs.String(), want.says)
			require.Contains(t, r.out.String(), "2 of 9 trials: ")
			last := r.read("last.json")
			require.Equal(t, 9, last.Run.Trials)
			require.Equal(t, 1, last.Statistics.N, "what was measured is not lost")
			if verdict == drill.VerdictAborted { // it has failed, without a recovery time
				require.Equal(t, 1, last.Statistics.Aborted)
				require.Zero(t, last.Statistics.LeftOut)
				return
			}
			require.Equal(t, 1, last.Statistics.LeftOut)
		})
	}
}

// TestTheWorstTrialCounts: a failure that was measured is not hidden by what ended the series, nor by what passed later.
func TestTheWorstTrialCounts(t *testing.T) {
	var all []drill.Report
	order := []drill.Verdict{drill.VerdictPassed, drill.VerdictRefused, drill.VerdictInterrupted, drill.VerdictInvalid, drill.VerdictFailed,
		drill.VerdictAborted, drill.VerdictError}
	require.Len(t, order, len(drill.Verdicts()))
	for i, v := range order {
		all = append([]drill.Report{{Run: drill.RunReport{Verdict: v}}}, all...)
		require.Equal(t, reportCode(drill.Report{Run: drill.RunReport{Verdict: v}}), trialsCode(all), "%s is worse than %v", v, order[:i])
	}
	all[3].Faults = []drill.FaultReport{{Residue: []string{"node n1 is cordoned"}}}
	require.Equal(t, exitResidue, trialsCode(all))
	require.Equal(t, exitError, trialsCode([]drill.Report{{Run: drill.RunReport{Verdict: "odd"}}}))
}

func TestCtrlCEndsTheSeries(t *testing.T) {
	t.Run("in a trial", func(t *testing.T) {
		bubble.Test(t, func(t *testing.T) {
			r := rehearse(t, 3)
			r.trial = func(number int, interrupted context.Context, run *kube.DrillRun) drill.Verdict {
				if number == 2 {
					go r.ctrlC()
					<-interrupted.Done()
					return drill.VerdictInterrupted
				}
				r.next(run)
				return drill.VerdictPassed
			}
			require.Equal(t, exitInterrupted, r.start(false))
			require.Len(t, r.names, 2)
		})
	})
	t.Run("between two", func(t *testing.T) {
		bubble.Test(t, func(t *testing.T) {
			r := rehearse(t, 3)
			r.trial = func(_ int, _ context.Context, run *kube.DrillRun) drill.Verdict {
				go func() {
					time.Sleep(time.Second)
					r.ctrlC()
					time.Sleep(time.Second)
					now, err := r.runs.Get(context.Background(), run.Name)
					assert.NoError(t, err)
					assert.True(t, now.Spec.Cancel, "the server must hear of it")
					assert.NoError(t, r.runs.EndSeries(context.Background(), now, "somebody cancelled it after this trial"))
				}()
				return drill.VerdictPassed
			}
			require.Equal(t, exitInterrupted, r.start(false))
			require.Len(t, r.names, 1)
			require.Contains(t, r.errs.String(), "The series ended after trial 1 of 3: somebody cancelled it")
		})
	})
	t.Run("when the next one is made already", func(t *testing.T) {
		bubble.Test(t, func(t *testing.T) {
			r := rehearse(t, 3)
			r.trial = func(number int, interrupted context.Context, run *kube.DrillRun) drill.Verdict {
				if number == 1 {
					r.ctrlC()
					go func() { time.Sleep(time.Second); r.next(run) }()
					return drill.VerdictPassed
				}
				require.Error(t, interrupted.Err(), "it is followed, and told at once")
				return drill.VerdictInterrupted
			}
			require.Equal(t, exitInterrupted, r.start(false))
			require.Len(t, r.names, 2)
		})
	})
	t.Run("between two of this process", func(t *testing.T) {
		bubble.Test(t, func(t *testing.T) {
			r := rehearse(t, 3)
			r.trial = func(int, context.Context, *kube.DrillRun) drill.Verdict { r.ctrlC(); return drill.VerdictPassed }
			require.Equal(t, exitInterrupted, r.start(true))
			require.Len(t, r.names, 1)
		})
	})
}

func TestAServerThatMakesNoTrial(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := rehearse(t, 2)
		r.trial = func(int, context.Context, *kube.DrillRun) drill.Verdict { return drill.VerdictPassed }
		began := time.Now()
		err := r.run(t.Context(), kube.Spec{Drill: "kill"})
		require.ErrorContains(t, err, "did not make trial 2 within 1m30s")
		require.InDelta(t, 90, time.Since(began).Seconds(), 1)
		run, err := r.runs.Get(t.Context(), r.names[0])
		require.NoError(t, err)
		require.True(t, run.Spec.Cancel, "it must not begin when nobody looks")
		require.Equal(t, 1, r.read("last.json").Statistics.N)
	})
}

func TestOneRunIsShownWhole(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := rehearse(t, 1)
		r.trial = func(int, context.Context, *kube.DrillRun) drill.Verdict { return drill.VerdictFailed }
		r.one = func(ctx, _ context.Context, run *kube.DrillRun) (drill.Report, []byte, error) {
			rep := r.report(run.Name, 1, drill.VerdictFailed)
			r.view.Observe(drill.Event{Type: drill.EventReport, Report: &rep})
			return rep, nil, nil
		}
		require.Equal(t, exitFailed, r.start(false))
		require.Contains(t, r.out.String(), "FAILED  kill")
		require.NotContains(t, r.out.String(), "trial")
		require.NotContains(t, r.errs.String(), "Trial")

		r.one = func(context.Context, context.Context, *kube.DrillRun) (drill.Report, []byte, error) {
			return drill.Report{}, nil, errors.New("the cluster is away")
		}
		require.Equal(t, exitError, r.start(false))
	})
}
