package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/faults"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/metrics"
	"github.com/failoverdrill/drill/internal/runner"
	"github.com/failoverdrill/drill/internal/server"
)

func execCommand(env *Env) *cobra.Command {
	var listen string
	c := &cobra.Command{
		Use: "exec RUN", Short: "Execute one run; this is what a runner pod does", Hidden: true, Args: exactArgs(1, "the run's name"),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := env.interruptible(c.Context(), func() {}, func() {})
			defer stop()
			divertKlog(env)
			client, err := kube.Connect("", "")
			if err != nil {
				return err
			}
			me := kube.Runner{Pod: env.Getenv("POD_NAME"), UID: env.Getenv("POD_UID"), Node: env.Getenv("NODE_NAME")}
			return execRun(ctx, env, client, args[0], me, listen)
		},
	}
	c.Flags().StringVar(&listen, "listen", ":9090", "address of /metrics while the run goes on")
	return c
}

// execRun claims a run, executes it and finishes its record.
func execRun(ctx context.Context, env *Env, client *kube.Client, id string, me kube.Runner, listen string) error {
	log := logger(env)
	defer func() { _ = log.Sync() }()
	runs := kube.NewRuns(client.Dynamic, kube.Namespace)
	run, err := runs.Claim(ctx, id, me)
	if err != nil {
		return err
	}
	journal := runs.Journal(id, run.Status.Generation)
	within, _ := time.ParseDuration(env.Getenv(server.EnvStartDeadline)) // an older server's pod has none
	if late := tooLate(client, run, within); late != nil {
		rep := refusedReport(run, late)
		return errors.Join(late, journal.Finish(ctx, kube.Outcome{Verdict: drill.VerdictRefused, Message: late.Text + ". Nothing was touched.", Report: &rep}))
	}
	d, err := handedDrill(env, run)
	if err != nil {
		return errors.Join(err, journal.Finish(ctx, kube.Outcome{Verdict: "error", Message: "The drill file cannot be read: " + err.Error()}))
	}
	leaving := ctx.Done() // a runner pod is told to end when it is about to be killed
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go obey(ctx, runs, id, log, cancel)
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	stop := serveMetrics(registry, listen, log)
	defer stop()
	events := runner.NewOutbox(&jsonView{w: env.Stdout})
	x := execution{inside: true, client: client, runs: runs, id: id, drill: d.Drill, source: d.source, variables: d.variables(), journal: journal, log: log,
		leaving: leaving, revert: revert(client), permit: permit(client, run, d.Drill), trial: place(ctx, runs, run, log),
		agents:    faults.Agents{Image: env.Getenv(server.EnvImage), Owner: kube.OwnerOf(run), Generation: journal.Generation},
		observers: []runner.Observer{events, metrics.New(registry, d.Drill, settings(d.Drill))}}
	x.stage = env.stage
	rep, recorded := x.execute(ctx)
	err = x.conclude(ctx, run, journal, rep, recorded)
	if left := events.Flush(showTimeout); left > 0 {
		log.Warn("standard output takes nothing: the last events are in the record alone", zap.Int("events", left))
	}
	return err
}

// handedDrill loads the drill of a runner pod's run. What its record must not show is in a volume of the pod.
func handedDrill(env *Env, run *kube.DrillRun) (*loaded, error) {
	var secret []byte
	if run.Spec.Inputs.Secret != "" {
		var err error
		if secret, err = os.ReadFile(filepath.Join(server.InputsPath, kube.InputsKey)); err != nil {
			return nil, fmt.Errorf("read the run's Secret: %w", err)
		}
	}
	in, err := run.Spec.Inputs.Unseal(secret)
	if err != nil {
		return nil, err
	}
	return recordedDrill(env, run.Spec, in)
}

// serveMetrics serves /metrics until it is stopped. That the address is taken is no reason not to run a drill.
func serveMetrics(registry *prometheus.Registry, listen string, log *zap.Logger) (stop func()) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	serving := server.BoundedServer(mux)
	l, err := net.Listen("tcp", listen)
	if err != nil {
		log.Warn("metrics are not served", zap.String("address", listen), zap.Error(err))
		return func() {}
	}
	go func() { _ = serving.Serve(server.BoundedListener(l)) }()
	return func() { _ = serving.Close() }
}
