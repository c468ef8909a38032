package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/faults"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/runner"
	"github.com/failoverdrill/drill/internal/server"
)

// runLocal executes the run in this process: same code and same record as in a runner pod. The server makes no pod for
// it, and puts back what it left once its locks are no longer renewed. When ctx ends, so does the run, and it reverts. It
// returns the report and the run's detail.
func runLocal(ctx context.Context, env *Env, client *kube.Client, runs *kube.Runs, run *kube.DrillRun, d *loaded, v runner.Observer) (drill.Report, []byte, error) {
	me := fmt.Sprintf("local-%s", run.UID)
	if _, err := runs.Admit(ctx, run.Name, me); err != nil {
		return drill.Report{}, nil, err
	}
	claimed, err := runs.Claim(ctx, run.Name, kube.Runner{Pod: me, UID: me})
	if err != nil {
		return drill.Report{}, nil, err
	}
	journal := runs.Journal(run.Name, claimed.Status.Generation)
	log := logger(env)
	defer func() { _ = log.Sync() }()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go obey(ctx, runs, run.Name, log, cancel)
	x := execution{client: client, runs: runs, id: run.Name, drill: d.Drill, source: d.source, variables: d.variables(), journal: journal, log: log, revert: revert(client), permit: permit(client, run, d.Drill), trial: place(ctx, runs, run, log),
		agents:    faults.Agents{Image: env.Getenv(server.EnvImage), Owner: kube.OwnerOf(run), Generation: journal.Generation},
		observers: []runner.Observer{v}}
	rep, recorded := x.execute(ctx)
	if err := x.conclude(ctx, run, journal, rep, recorded); err != nil {
		return rep, recorded, err
	}
	letGo(ctx, runs, run.Name, log)
	return rep, recorded, nil
}

// letGo takes drill's finalizer off the record of a local run that has left nothing. Else, and when this fails, the server
// does so once everything is reverted.
func letGo(ctx context.Context, runs *kube.Runs, name string, log *zap.Logger) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	run, err := runs.Get(ctx, name)
	if err == nil && run.Finished() && len(run.Unreverted()) == 0 {
		err = runs.SetFinalizer(ctx, run, false)
	}
	if err != nil && !apierrors.IsNotFound(err) {
		log.Warn("the run's record is kept until the server lets it go", zap.String("run", name), zap.Error(err))
	}
}

// decodeEvent reads one line of a runner's output.
func decodeEvent(raw []byte) (drill.Event, bool) {
	var e drill.Event
	if err := json.Unmarshal(raw, &e); err != nil || e.Type == "" {
		return e, false
	}
	return e, true
}
