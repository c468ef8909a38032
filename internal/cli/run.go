package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/history"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/runner"
)

type runOptions struct {
	cluster clusterFlags
	name    string // of the drill in the file
	output  string
	reports []string
	runner  string
	inputs  inputFlags
}

// Where a run may be executed.
const (
	runnerCluster = "cluster"
	runnerLocal   = "local"
)

func runCommand(env *Env) *cobra.Command {
	var o runOptions
	c := &cobra.Command{
		Use: "run FILE", Short: "Run a drill now, and report",
		Long: `Run a drill: check that the target is steady, break one thing, watch what clients see, put everything back, report.

The run takes place in a runner pod in the cluster, and goes on when this command is killed. The first Ctrl-C ends the
run and reverts; a second one leaves at once, and the runner reverts by itself.
A drill with repeat is run so many times in a row, one trial after the other. A trial that did not measure the target to the
end ends the series, and so does Ctrl-C. In --report, {trial} in the PATH stands for the trial's number; without it, json and
text are of the last trial, which has the statistics of all, and junit is of all trials.
The exit code tells the verdict, and of several trials the worst: 0 passed, 10 failed, 11 refused (nothing touched), 12 aborted, 13 interrupted,
14 residue (someone must act), 15 invalid; 1 when drill itself failed, 4 when the file is invalid.`,
		Example: `  drill run drills/kill-primary.hcl
  drill run shop.hcl --var namespace=staging     # a file with a variable "namespace"
  drill run drills/kill-primary.hcl --report json=report.json
  drill run drills/kill-primary.hcl --output json | jq .type`,
		Args: exactArgs(1, "one drill file"),
		RunE: func(c *cobra.Command, args []string) error { return runDrill(c.Context(), env, args[0], &o) },
	}
	o.cluster.add(c)
	outputFlag(c, &o.output)
	o.inputs.add(c)
	c.Flags().StringVar(&o.name, "drill", "", "the drill to run, when the file holds several")
	c.Flags().StringArrayVar(&o.reports, "report", nil, "write the report as FORMAT=PATH, with FORMAT json, junit or text (repeatable)")
	c.Flags().StringVar(&o.runner, "runner", runnerCluster, "where to execute the run: cluster (a runner pod) or local (this process, which must reach the pods)")
	return c
}

func runDrill(ctx context.Context, env *Env, path string, o *runOptions) error {
	if err := checkOutput(o.output); err != nil {
		return err
	}
	if o.runner != runnerCluster && o.runner != runnerLocal {
		return withCode(exitUsage, "--runner takes cluster or local, not %q", o.runner)
	}
	files, err := parseReports(o.reports)
	if err != nil {
		return err
	}
	read, err := oneDrill(env, path, o.name, &o.inputs)
	if err != nil {
		return err
	}
	inputs, secret, err := kube.SealInputs(read.open, read.secret)
	if err != nil {
		return err
	}
	spec := kube.Spec{Drill: read.Name, File: path, Source: read.source, Inputs: inputs, Local: o.runner == runnerLocal}
	// As the server and the runner will read it: what they would stumble over shows here.
	if read, err = recordedDrill(env, spec, read.open.With(read.secret)); err != nil {
		return err
	}
	if err := refuseUnavailable(read.Drill); err != nil {
		return err
	}
	client, err := o.cluster.connect()
	if err != nil {
		return err
	}
	if err := notHeld(ctx, kube.NewHolds(client, kube.Namespace)); err != nil && !apierrors.IsForbidden(err) {
		return err // whoever may not read it hears it from the server
	}
	if spec.Requester, err = client.WhoAmI(ctx); err != nil {
		return err
	}
	if secret != nil && !spec.Local {
		if err := client.MayStoreInputs(ctx); err != nil {
			return err
		}
	}
	t := &trials{env: env, client: client, runs: kube.NewRuns(client.Dynamic, kube.Namespace), drill: read, secret: secret, view: newView(env, o.output), files: files}
	if spec.Local {
		divertKlog(env)
		t.outbox = runner.NewOutbox(t.view)
	}
	t.one = t.execute
	t.output(o.output)
	return t.run(ctx, spec)
}

// following shows a run that takes place in the cluster, until its record is finished.
type following struct {
	env    *Env
	client *kube.Client
	runs   *kube.Runs
	name   string
	view   view

	seen   int64 // the next event's number; a resumed log may repeat some
	report *drill.Report
	record *kube.DrillRun // once the run is over
}

// Patience with the server and with the tail of the log.
const (
	admitHint    = 15 * time.Second
	admitTimeout = 90 * time.Second
	drainTimeout = 10 * time.Second
	sweepHint    = 20 * time.Second
	fetchTimeout = 30 * time.Second
)

// follow shows the run to its end. When interrupted ends, it asks for the run's end, and shows that.
func (f *following) follow(ctx, interrupted context.Context) (drill.Report, error) {
	all, stopAll := context.WithCancel(ctx)
	defer stopAll()
	go func() {
		select {
		case <-interrupted.Done():
			if err := f.runs.Cancel(all, f.name); err != nil && all.Err() == nil {
				f.env.status("The run could not be cancelled: %v", err)
			}
		case <-all.Done():
		}
	}()

	records := make(chan *kube.DrillRun)
	watched := make(chan error, 1)
	go func() {
		watched <- f.runs.Watch(all, f.name, func(r *kube.DrillRun) bool {
			select {
			case records <- r:
			case <-all.Done():
			}
			return !r.Finished()
		})
	}()
	return f.until(all, records, watched)
}

// until follows the record, and the runner's log from when there is one, to the end of both.
func (f *following) until(ctx context.Context, records <-chan *kube.DrillRun, watched <-chan error) (drill.Report, error) {
	var drained chan struct{}
	hint, giveUp := time.After(admitHint), time.After(admitTimeout)
	for {
		select {
		case r := <-records:
			if r.Status.Runner.Pod != "" && drained == nil {
				hint, giveUp = nil, nil
				drained = make(chan struct{})
				go func() {
					defer close(drained)
					defer time.AfterFunc(sweepHint, func() {
						if ctx.Err() == nil {
							f.env.status("The runner is gone. Waiting for drill's server to put back what it left. If that does not come: drill recover %s", f.name)
						}
					})
					_ = kube.Follow(ctx, f.client, f.runs.Namespace(), r.Status.Runner.Pod, f.line)
				}()
			}
			if r.Finished() {
				if drained != nil {
					select {
					case <-drained:
					case <-time.After(drainTimeout):
					}
				}
				return f.ended(r)
			}
		case err := <-watched:
			if err == nil {
				watched = nil // the last record is on its way
				continue
			}
			return drill.Report{}, fmt.Errorf("follow run %s: %w", f.name, err)
		case <-hint:
			f.env.status("Waiting for drill's server to admit the run. See: kubectl -n %s get pods", f.runs.Namespace())
		case <-giveUp:
			_ = f.runs.Cancel(ctx, f.name)
			return drill.Report{}, fmt.Errorf("drill's server did not admit run %s within %s; it was cancelled and nothing was touched. Does the server run? See: kubectl -n %s get pods",
				f.name, admitTimeout, f.runs.Namespace())
		}
	}
}

// line shows one line of the runner's log, if it is an event that was not shown yet.
func (f *following) line(raw []byte) {
	e, ok := decodeEvent(raw)
	if !ok || e.Seq < f.seen {
		return
	}
	f.seen = e.Seq + 1
	if e.Report != nil {
		f.report = e.Report
	}
	f.view.Observe(e)
}

// ended returns the report: the runner's own, else the record's, else what the record says.
func (f *following) ended(r *kube.DrillRun) (drill.Report, error) {
	f.record = r
	if f.report != nil && f.report.Run.Verdict == r.Status.Verdict {
		history.Settle(f.report, r)
		return *f.report, nil
	}
	rep, err := history.Report(r)
	if err != nil {
		return drill.Report{}, err
	}
	f.view.Observe(drill.Event{Seq: f.seen, Type: drill.EventReport, Report: &rep})
	return rep, nil
}

// detail fetches the run's detail from the cluster; nil when there is none, which is no reason to say that the run failed.
func (f *following) detail(ctx context.Context) []byte {
	if f.record == nil || f.record.Status.Detail == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	raw, err := kube.NewDetails(f.client, f.runs.Namespace()).Load(ctx, f.record)
	if err != nil {
		f.env.status("The run's detail is not on this machine: %v", err)
		return nil
	}
	return raw
}
