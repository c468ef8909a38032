//go:build bank

package bank

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/probes"
	"github.com/failoverdrill/drill/internal/runner"
	"github.com/failoverdrill/drill/internal/targets"
	"github.com/failoverdrill/drill/test/postgres"
)

// pair is a real PostgreSQL pair behind a fake API server, and what is done to it.
type pair struct {
	*postgres.Pair
	t     testing.TB
	kube  *fake.Clientset
	dsn   string
	plot  sync.WaitGroup
	ended chan struct{} // closed at the end of the run
	from  postgres.Moment
	lying atomic.Bool // the pooler, if there is one that does
}

// drama is what happens to a pair, and what drill is asked of it.
type drama struct {
	before     func(p *pair)      // before the run begins
	journal    func(p *pair)      // right before the injection
	inject     func(p *pair)      // the fault
	after      func(p *pair)      // what comes of it, from the injection's return on
	victim     *postgres.Server   // by default the first
	objectives map[string]float64 // see limits; the recovery's is 8 s here
	timeout    time.Duration      // 28 s by default
	patience   time.Duration      // with the steady state; 15 s by default
}

// Rules by which these runs are measured: shorter than a real run's, so that CI has time for them.
const (
	pairWindow = 3 * time.Second
	pairImpact = 9 * time.Second
	pairHold   = 4 * time.Second
)

// play is the whole run against a real pair.
func (d drama) play(t *testing.T) drill.Report {
	t.Helper()
	p := &pair{Pair: postgres.Start(t), t: t, kube: fake.NewClientset(), ended: make(chan struct{})}
	p.dsn = p.DSN()
	_, err := p.kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	p.lead(p.First, p.Second)
	if d.before != nil {
		d.before(p)
	}
	own := map[string]float64{drill.ObjectiveRecoveryTime: 8}
	maps.Copy(own, d.objectives)
	if d.timeout == 0 {
		d.timeout = 28 * time.Second
	}
	if d.patience == 0 {
		d.patience = 15 * time.Second
	}
	rep := runner.Run(t.Context(), runner.Config{
		Drill:      &drill.Drill{Name: "bank", Timeout: d.timeout, SteadyState: drill.SteadyState{Hold: pairHold, Timeout: d.patience}, Objectives: limits(own)},
		Settings:   drill.Settings{Window: pairWindow, ImpactTimeout: pairImpact, RedundancyLag: 1},
		Preflight:  func(context.Context) error { return nil },
		Namespaces: []string{"shop"}, Target: p.target(), Sampler: probes.Sample, Journal: strike{p, d}, Lock: &world{}, Log: zap.NewNop(),
		Faults: []runner.BoundFault{{Kind: "kill_primary", Name: "orders", Fault: strike{p, d}}},
	})
	close(p.ended)
	p.plot.Wait()
	return rep
}

// lead tells the API server who is the primary, as an operator would.
func (p *pair) lead(now, before *postgres.Server) {
	p.t.Helper()
	p.label(now, "master")
	p.label(before, "replica")
	p.endpoint(now)
}

// label makes the pod of a server, or replaces it.
func (p *pair) label(s *postgres.Server, role string) {
	p.t.Helper()
	pods := p.kube.CoreV1().Pods("shop")
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: s.Name, UID: types.UID("uid-" + s.Name), Labels: map[string]string{"app": "orders", "role": role}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIP: s.IP},
	}
	_, err := pods.Update(p.t.Context(), pod, metav1.UpdateOptions{})
	if err != nil {
		_, err = pods.Create(p.t.Context(), pod, metav1.CreateOptions{})
	}
	require.NoError(p.t, err)
}

func (p *pair) endpoint(s *postgres.Server) {
	p.t.Helper()
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders-abc", Labels: map[string]string{discoveryv1.LabelServiceName: "orders"}},
		Ports:      []discoveryv1.EndpointPort{{Port: new(int32(p.Port))}}, //nolint:gosec // a port
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{s.IP}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)},
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: s.Name}}},
	}
	all := p.kube.DiscoveryV1().EndpointSlices("shop")
	_, err := all.Update(p.t.Context(), slice, metav1.UpdateOptions{})
	if err != nil {
		_, err = all.Create(p.t.Context(), slice, metav1.CreateOptions{})
	}
	require.NoError(p.t, err)
}

// target is the pair as a drill file would describe it.
func (p *pair) target() targets.Target {
	p.t.Helper()
	kind, _ := targets.Find("postgresql")
	block := fmt.Sprintf("namespace = \"shop\"\nselector = \"app=orders\"\nservice = \"orders\"\ndsn = %q\n", p.dsn)
	file, diags := hclparse.NewParser().ParseHCL([]byte(block), "bank.hcl")
	require.False(p.t, diags.HasErrors(), "%v", diags)
	spec, decoded := kind.Decode(file.Body, nil)
	require.False(p.t, decoded.Diagnostics.HasErrors(), "%v", decoded.Diagnostics)
	return kind.Bind(targets.Deps{Run: strings.ReplaceAll(p.t.Name(), "/", "-"), Kube: p.kube, Log: zap.NewNop()}, "orders", spec)
}

// wait waits until so long after the fault; it is false when the run has ended before.
func (p *pair) wait(since time.Duration) bool {
	select {
	case <-time.After(time.Until(p.from.After.Add(since))):
		return true
	case <-p.ended:
		return false
	}
}

// failOver promotes the standby and leads clients to it.
func (p *pair) failOver() {
	p.FailOver()
	p.lead(p.Second, p.First)
}

// strike is the fault and its journal.
type strike struct {
	p *pair
	d drama
}

func (s strike) Plan(context.Context) (json.RawMessage, drill.FaultPlan, error) {
	victim := s.p.First
	if s.d.victim != nil {
		victim = s.d.victim
	}
	return json.RawMessage(`{}`), drill.FaultPlan{Kind: "kill_primary", Name: "orders", Victims: []drill.Member{
		{Namespace: "shop", Name: victim.Name, UID: "uid-" + victim.Name, Role: drill.RolePrimary}}}, nil
}
func (s strike) Prepare(context.Context, json.RawMessage) error { return nil }
func (s strike) Recheck(context.Context, json.RawMessage) error { return nil }
func (s strike) Inject(context.Context, json.RawMessage) error {
	s.p.from.Before = time.Now()
	if s.d.inject != nil {
		s.d.inject(s.p)
	}
	s.p.from.After = time.Now()
	if s.d.after != nil {
		s.p.plot.Go(func() { s.d.after(s.p) })
	}
	return nil
}
func (s strike) Confirm(context.Context, json.RawMessage) (string, error) {
	return "done by the test", nil
}
func (s strike) Held(context.Context, json.RawMessage) error                      { return nil }
func (s strike) Broken() error                                                    { return nil }
func (s strike) Revert(context.Context, json.RawMessage) error                    { return nil }
func (s strike) Preparing(context.Context, string, string, json.RawMessage) error { return nil }
func (s strike) Injecting(context.Context, string, string, json.RawMessage) error {
	if s.d.journal != nil {
		s.d.journal(s.p)
	}
	return nil
}
func (s strike) Reverted(context.Context, string, string, []string) error { return nil }
