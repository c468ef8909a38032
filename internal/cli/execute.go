package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/detail"
	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/faults"
	"github.com/failoverdrill/drill/internal/history"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/probes"
	"github.com/failoverdrill/drill/internal/runner"
	"github.com/failoverdrill/drill/internal/targets"
)

// settings are the rules by which a run of the drill is measured; docs/measuring.md gives the reasons.
func settings(d *drill.Drill) drill.Settings {
	s := drill.Settings{Window: 10 * time.Second, ImpactTimeout: 60 * time.Second, Blip: d.Blip, RedundancyLag: 1}
	if lag, ok := d.Limit(drill.ObjectiveReplicationLag); ok {
		s.RedundancyLag = lag
	}
	for _, t := range d.Targets {
		kind, _ := targets.Find(t.Kind)
		s.NoLedger = s.NoLedger || kind.NoLedger
	}
	return s
}

// execution is one run about to happen in this process.
type execution struct {
	client    *kube.Client
	runs      *kube.Runs
	id        string
	drill     *drill.Drill
	source    string // the drill file's text
	variables map[string]drill.VariableValue
	journal   runner.Journal
	observers []runner.Observer
	log       *zap.Logger
	agents    faults.Agents
	trial     trial
	stage     *stage
	inside    bool            // it is a runner pod: what it connects to is bounded
	reach     *kube.Reach     // what it may connect to; nil allows all
	leaving   <-chan struct{} // closed when the process is about to be killed; nil when nobody says so
	revert    func(ctx context.Context, record kube.FaultRecord, run string) error
	permit    func(ctx context.Context) error // asked right before the first injection
}

// trial is a run's place in its series.
type trial struct {
	number  int
	earlier []drill.Trial
}

// place finds a run's place in its series. That the earlier trials cannot be read is no reason not to measure this one:
// the statistics then say that they are left out.
func place(ctx context.Context, runs *kube.Runs, run *kube.DrillRun, log *zap.Logger) trial {
	_, number := run.Trial()
	earlier, err := history.Earlier(ctx, runs, run)
	if err != nil {
		log.Warn("the statistics lack earlier trials", zap.String("run", run.Name), zap.Error(err))
	}
	return trial{number, earlier}
}

// execute wires the drill's kinds to the runner's interfaces and runs it. It returns the report, and the detail from
// which anybody can compute it again.
func (x execution) execute(ctx context.Context) (drill.Report, []byte) {
	spec := x.drill.Targets[0]
	kind, _ := targets.Find(spec.Kind)
	var target targets.Target
	owner, exceeded := x.ownerLimits(ctx, func(ctx context.Context) ([]drill.Member, error) { return target.Members(ctx) })
	x.reach = owner.within()
	target = x.stage.bindTarget(kind, targets.Deps{Reach: x.reach, Run: x.id, Kube: x.client, Secret: x.secret, Checks: x.drill.Checks(), Log: x.log.Named("target")}, spec)
	deps := faults.Deps{Run: x.id, Kube: x.client, Target: func(name string) (faults.Target, bool) { return target, name == spec.Name }, Targets: []string{spec.Name},
		Namespace: kind.Namespaces(spec.Spec)[0], Agents: x.agents}
	deps.Agents.Timeout = x.drill.Timeout
	var bound []runner.BoundFault
	for _, f := range x.drill.Faults {
		kind, _ := faults.Find(f.Kind)
		bound = append(bound, runner.BoundFault{Kind: f.Kind, Name: f.Name, After: f.After, Fault: x.stage.bindFault(f.Kind, kind.Bind(deps, f.Name, f.Spec))})
	}
	bindings, unbound := x.probes()
	need := needsOf(x.drill)
	recorder := detail.NewWriter(drill.Recording{})
	// The runner looks for a hold itself, so that it works without the server.
	holds := kube.NewHolds(x.client, x.runs.Namespace())
	ctx, unwatch := holds.Watch(ctx, func(err error) {
		x.log.Warn("whether drill is on hold cannot be read; the run goes on", zap.Error(err))
	})
	defer unwatch()
	rep := runner.Run(ctx, runner.Config{
		Info: drill.RunReport{ID: x.id, Drill: x.drill.Name, Description: x.drill.Description, File: x.drill.File,
			Variables: x.variables, Trial: x.trial.number, Trials: max(x.trial.number, x.drill.Repeat), DrillVersion: version, Cluster: x.cluster(ctx)},
		Drill: x.drill, Settings: settings(x.drill), Earlier: x.trial.earlier,
		Preflight: func(ctx context.Context) error {
			if exceeded != nil {
				return exceeded
			}
			if unbound != nil {
				return unbound
			}
			if err := notHeld(ctx, holds); err != nil {
				return err
			}
			return x.preflight(ctx, need)
		},
		Namespaces: need.namespaces, Target: target, Probes: bindings, Faults: bound, Guard: guard{x.drill, owner},
		Sampler: x.stage.sample(), Journal: x.journal, Lock: kube.NewLock(x.client, x.runs, x.id),
		Observers: x.observers, Recorder: recorder, Source: sha256Of([]byte(x.source)), Log: x.log,
		Leaving: x.leaving, Permit: x.permit,
	})
	return rep, recorder.Bytes()
}

// notHeld refuses a run while drill is on hold, or while that cannot be read: nothing has been touched yet.
func notHeld(ctx context.Context, holds *kube.Holds) error {
	hold, err := holds.Get(ctx)
	if err != nil {
		return err
	}
	if hold != nil {
		return hold.Refusal()
	}
	return nil
}

func sha256Of(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// probes binds the drill's own probes. What keeps one from being bound refuses the run.
func (x execution) probes() ([]drill.Probe, error) {
	var all []drill.Probe
	for _, p := range x.drill.Probes {
		kind, _ := probes.Find(p.Kind)
		probe, err := kind.Bind(probes.Deps{Kube: x.client, Reach: x.reach, Log: x.log.Named("probe")}, p.Name, p.Spec)
		if err != nil {
			return nil, fmt.Errorf("probe %q: %w", p.Name, err)
		}
		all = append(all, probe)
	}
	return all, nil
}

func (x execution) cluster(ctx context.Context) drill.ClusterReport {
	c := drill.ClusterReport{Context: x.client.Context, Version: x.client.Version}
	if nodes, err := x.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{}); err == nil {
		c.Nodes = len(nodes.Items)
	}
	return c
}

// preflight refuses a run that asks for what cannot be done, that would lack a right half-way, or whose namespace does
// not exist.
func (x execution) preflight(ctx context.Context, need needs) error {
	if err := refuseUnavailable(x.drill); err != nil {
		return err
	}
	for _, ns := range need.namespaces {
		if _, err := x.client.CoreV1().Namespaces().Get(ctx, ns, metav1.GetOptions{}); apierrors.IsNotFound(err) {
			return &drill.Refusal{Code: "no_namespace", Text: fmt.Sprintf(
				"There is no namespace %q in cluster %s. Check namespace in the drill file, and the context", ns, x.client.Context)}
		}
	}
	missing, err := x.client.Missing(ctx, need.permissions)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return &drill.Refusal{Code: "missing_rights", Text: fmt.Sprintf("The runner may not %s. To let drills in there, run: drill install --allow %s",
			rightsText(missing), strings.Join(namespacesOf(missing, need.namespaces), " --allow "))}
	}
	return nil
}

// namespacesOf are the namespaces of the missing rights; the targets' when only rights on the cluster are missing.
func namespacesOf(missing []drill.Permission, targets []string) []string {
	var all []string
	for _, p := range missing {
		if p.Namespace != "" && !slices.Contains(all, p.Namespace) {
			all = append(all, p.Namespace)
		}
	}
	if len(all) == 0 {
		return targets
	}
	return all
}

// rightsText lists rights with the verbs of one resource together.
func rightsText(ps []drill.Permission) string {
	var order []drill.Permission
	verbs := map[drill.Permission][]string{}
	for _, p := range ps {
		key := p
		key.Verb = ""
		if !slices.Contains(order, key) {
			order = append(order, key)
		}
		if !slices.Contains(verbs[key], p.Verb) {
			verbs[key] = append(verbs[key], p.Verb)
		}
	}
	var all []string
	for _, key := range order {
		p := key
		p.Verb = strings.Join(verbs[key], ", ")
		all = append(all, p.String())
	}
	return strings.Join(all, "; ")
}

// secret reads one value of a Secret. That it is missing is for the user to mend.
func (x execution) secret(ctx context.Context, namespace, name, key string) (string, error) {
	s, err := x.client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "", &drill.Refusal{Code: "no_secret", Text: fmt.Sprintf("There is no Secret %q in namespace %s. Check secret() in the drill file", name, namespace)}
	}
	if err != nil {
		return "", fmt.Errorf("read Secret %s/%s: %w", namespace, name, err)
	}
	value, ok := s.Data[key]
	if !ok {
		var keys []string
		for k := range s.Data {
			keys = append(keys, k)
		}
		return "", &drill.Refusal{Code: "no_secret_key", Text: fmt.Sprintf("Secret %s/%s has no key %q; it has: %s", namespace, name, key, strings.Join(keys, ", "))}
	}
	return string(value), nil
}

// revert puts one recorded fault back, from its record alone.
func revert(client *kube.Client) func(ctx context.Context, rec kube.FaultRecord, run string) error {
	return func(ctx context.Context, rec kube.FaultRecord, run string) error {
		kind, ok := faults.Find(rec.Kind)
		if !ok {
			return fmt.Errorf("fault kind %q is not known to this version of drill (%s)", rec.Kind, version)
		}
		return kind.Restore(faults.Deps{Run: run, Kube: client}).Revert(ctx, rec.State)
	}
}
