//go:build e2e

package kill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// request asks for the run in the test's own name.
func (c *cell) request(method string, hold time.Duration) error {
	ctx := context.Background()
	me, err := c.world.client.WhoAmI(ctx)
	if err != nil {
		return err
	}
	source, name := killHCL, "kill-primary"
	if c.kind == partition {
		source, name = cutHCL, "partition"
	}
	source = strings.NewReplacer("NAMESPACE", c.target.Namespace, "METHOD", method, "HOLD", hold.String()).Replace(source)
	r, err := c.world.runs.Create(ctx, kube.Spec{Drill: name, File: name + ".hcl", Source: source, Requester: me})
	if err != nil {
		return err
	}
	c.run = r.Name
	c.t.Cleanup(func() {
		if c.t.Failed() {
			_ = c.world.runs.Cancel(context.Background(), c.run)
			log, _ := kubectl("-n", kube.Namespace, "logs", kube.RunnerPod(c.run), "--tail=20").CombinedOutput()
			c.t.Logf("%s: the log of the runner of %s: %s", c, c.run, log)
		}
	})
	return nil
}

// moment waits for the phase of a run that has its component for itself.
func (c *cell) moment(hold time.Duration) error {
	if c.phase == steady {
		if err := c.await("its runner", func(r *kube.DrillRun) bool { return r.Status.Phase == kube.PhaseRunning }); err != nil {
			return err
		}
		if c.kind == partition {
			if err := c.await("its agent", func(*kube.DrillRun) bool {
				return c.agentIs(func(p corev1.Pod) bool { return p.Status.Phase == corev1.PodRunning })
			}); err != nil {
				return err
			}
		}
		time.Sleep(3 * time.Second) // of the 8 s that it must hold
		return nil
	}
	if err := c.await("the injection", isInjecting); err != nil {
		return err
	}
	began := time.Now()
	switch {
	case c.phase == held:
		time.Sleep(8 * time.Second)
	case c.phase == reverting && c.kind == partition && c.component == "runner":
		// The hold counts from the confirmation, some seconds later. That the heal has begun shows in its agent's pod.
		return c.await("the heal", func(*kube.DrillRun) bool {
			return c.agentIs(func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
		})
	case c.phase == reverting:
		time.Sleep(time.Until(began.Add(hold - 200*time.Millisecond)))
	}
	return nil
}

func (c *cell) agentIs(so func(corev1.Pod) bool) bool {
	pods, err := c.world.client.CoreV1().Pods(kube.AgentNamespace).List(context.Background(), metav1.ListOptions{LabelSelector: kube.LabelRun + "=" + c.run})
	return err == nil && slices.ContainsFunc(pods.Items, so)
}

func (c *cell) await(what string, until func(*kube.DrillRun) bool) error {
	for began := time.Now(); time.Since(began) < 2*time.Minute; time.Sleep(100 * time.Millisecond) {
		r, err := c.world.runs.Get(context.Background(), c.run)
		if err != nil {
			return err
		}
		if until(r) {
			return nil
		}
		if r.Finished() {
			return fmt.Errorf("run %s ended before %s: %s: %s", c.run, what, r.Status.Verdict, r.Status.Message)
		}
	}
	return fmt.Errorf("run %s: no %s within 2 minutes", c.run, what)
}

// note remembers what the record says right before the signal is sent. It returns an error when that is another phase.
func (c *cell) note() error {
	r, err := c.world.runs.Get(context.Background(), c.run)
	if err != nil {
		return err
	}
	c.found = string(r.Status.Phase)
	for _, f := range r.Status.Faults {
		c.found += ", " + string(f.Phase)
	}
	switch {
	case c.kind == partition && c.agentIs(func(p corev1.Pod) bool { return p.DeletionTimestamp != nil }):
		c.found += ", agent told to end"
	case c.kind == killPrimary && c.component != "runner":
		if p, err := c.world.client.CoreV1().Pods(c.target.Namespace).Get(context.Background(), "orders-0", metav1.GetOptions{}); err == nil && p.DeletionTimestamp != nil {
			c.found += ", victim terminating"
		}
	}
	if r.Status.Phase != kube.PhaseRunning || isInjecting(r) == (c.phase == steady) || c.phase == steady && strings.Contains(c.found, string(kube.FaultReverted)) {
		return fmt.Errorf("run %s was at another phase when the signal was due (%s); a machine that is busy with other work delays it", c.run, c.found)
	}
	return nil
}

// settle waits until nothing is left, and judges the record. A run that the signal did not end is cancelled 5 s after its
// fault is reverted: what follows is a minute of measuring.
func (c *cell) settle(struck, back time.Time) error {
	var reverted time.Time
	cancelled := ""
	for {
		if r, err := c.world.runs.Get(context.Background(), c.run); err == nil && c.component != "runner" && !r.Finished() &&
			len(r.Status.Faults) > 0 && len(r.Unreverted()) == 0 && !r.CancelRequested() {
			switch {
			case reverted.IsZero():
				reverted = time.Now()
			case time.Since(reverted) > 5*time.Second:
				if err := c.world.runs.Cancel(context.Background(), c.run); err == nil {
					cancelled = "; went on, and was cancelled after its revert"
				}
			}
		}
		left := c.left()
		if len(left) == 0 && c.kind == partition {
			left = tables(c.target.Node)
		}
		if len(left) == 0 {
			break
		}
		if time.Since(back) > revertedWithin {
			return fmt.Errorf("%v after the %s is back (run %s, found %s): %s", revertedWithin, c.component, c.run, c.found, strings.Join(left, "; "))
		}
		time.Sleep(time.Second)
	}
	done := time.Now()
	r, err := c.world.runs.Get(context.Background(), c.run)
	if err != nil {
		return err
	}
	cut := ""
	if lasted := <-c.cut; lasted > 0 {
		cut = fmt.Sprintf("; the cut ended %.1f s after the signal", lasted.Seconds())
	}
	c.t.Logf("CELL %s (%s): nothing left %.1f s after the signal, %+.1f s after its return%s%s; %s: %s", c, c.found, done.Sub(struck).Seconds(), done.Sub(back).Seconds(), cut, cancelled,
		r.Status.Verdict, r.Status.Message)
	return c.judge(r)
}

// judge says what is wrong with the verdict.
func (c *cell) judge(r *kube.DrillRun) error {
	if r.Status.Verdict == "" {
		return errors.New("the record has no verdict")
	}
	if r.HadResidue() {
		return errors.New("residue was reported, although nothing was left")
	}
	if r.Status.Verdict != drill.VerdictPassed {
		return nil
	}
	lost := c.component == "runner" || c.component == "agent" && c.phase != reverting
	report, err := r.Report()
	switch {
	case lost:
		return fmt.Errorf("it passed, although its %s was lost while %s", c.component, c.phase)
	case err != nil || report == nil:
		return fmt.Errorf("it passed without a report: %w", err)
	case len(report.Faults) != 1 || !report.Faults[0].Confirmed || !report.Faults[0].Reverted:
		return fmt.Errorf("it passed with a fault that was lost: %+v", report.Faults)
	}
	return nil
}

// left says what the run has not reverted or recorded.
func (c *cell) left() (left []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	client := c.world.client
	r, err := c.world.runs.Get(ctx, c.run)
	if err != nil {
		return []string{err.Error()}
	}
	if !r.Finished() {
		left = append(left, "the run has not ended")
	}
	if slices.Contains(r.Finalizers, kube.Finalizer) {
		left = append(left, "the record has drill's finalizer")
	}
	for _, f := range r.Unreverted() {
		left = append(left, fmt.Sprintf("%s is %s %v", f, f.Phase, f.Residue))
	}
	own := metav1.ListOptions{LabelSelector: kube.LabelRun + "=" + c.run}
	leases, err := client.CoordinationV1().Leases(kube.Namespace).List(ctx, own)
	if err != nil || len(leases.Items) > 0 {
		left = append(left, fmt.Sprintf("locks: %v (%v)", names(leases.Items), err))
	}
	agents, err := client.CoreV1().Pods(kube.AgentNamespace).List(ctx, own)
	if err != nil || len(agents.Items) > 0 {
		left = append(left, fmt.Sprintf("agents: %v (%v)", names(agents.Items), err))
	}
	secrets, err := client.CoreV1().Secrets(kube.AgentNamespace).List(ctx, own)
	if err != nil || len(secrets.Items) > 0 {
		left = append(left, fmt.Sprintf("agents' Secrets: %v (%v)", names(secrets.Items), err))
	}
	members, _, err := kube.ReadHeld(ctx, client)
	if err != nil {
		left = append(left, err.Error())
	}
	for key, m := range members {
		if m.Run == c.run {
			left = append(left, key+" is held down")
		}
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return append(left, err.Error())
	}
	for _, n := range nodes.Items {
		if n.Spec.Unschedulable {
			left = append(left, "node "+n.Name+" is cordoned")
		}
	}
	return left
}

func names[T any](all []T) (names []string) {
	for i := range all {
		if o, ok := any(&all[i]).(metav1.Object); ok {
			names = append(names, o.GetName())
		}
	}
	return names
}
