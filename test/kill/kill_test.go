//go:build e2e

package kill

import (
	"context"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/failoverdrill/drill/internal/kube"
)

var cells = flag.String("cells", "", "a regular expression for the cells to play, such as runner-KILL/kill_primary-held; empty plays all")

const (
	killPrimary = "kill_primary"
	partition   = "network_partition"

	kill = "KILL"
	stop = "STOP"
)

// The phases of a run at which a process is killed or stopped. For a cut, steady begins when its agents run.
const (
	steady    = "steady"
	injecting = "injecting"
	held      = "held"
	reverting = "reverting"
)

var phases = []string{steady, injecting, held, reverting}

// paused is how long a component stands still before SIGCONT. Each is longer than the 15 s that locks and the leader's
// lease live, and the runner's longer than the 60 s after which the server takes its run over. Nodes become NotReady
// after 50 s.
var paused = map[string]time.Duration{
	"runner": 75 * time.Second, "agent": 30 * time.Second, "leader": 25 * time.Second, "apiserver": 25 * time.Second, "kubelet": 30 * time.Second,
}

// revertedWithin is how long after the component's return everything must be reverted and recorded. The server reverts a
// lost run twice, 45 s apart, before it lets the record go.
const revertedWithin = 90 * time.Second

// TestKilled plays every cell. Runners and agents belong to one run each, so their cells are independent. The leader, the
// API server and the kubelets are shared: each is killed once, and stopped once, while runs in all phases are in flight.
func TestKilled(t *testing.T) {
	require.NotEmpty(t, os.Getenv("KUBECONFIG"), "KUBECONFIG must name the lab; run make kill")
	wanted := regexp.MustCompile(*cells)
	var alone []*cell
	shared := map[string][]*cell{}
	var rounds []string
	for _, component := range []string{"runner", "agent", "leader", "apiserver", "kubelet"} {
		for _, signal := range []string{stop, kill} {
			for _, kind := range []string{killPrimary, partition} {
				for _, phase := range phases {
					c := &cell{component: component, signal: signal, kind: kind, phase: phase}
					switch {
					case component == "agent" && kind == killPrimary || !wanted.MatchString(c.String()): // only a cut has agents
					case component == "runner" || component == "agent":
						alone = append(alone, c)
					default:
						if round := component + "-" + signal; !slices.Contains(rounds, round) {
							rounds = append(rounds, round)
						}
						shared[component+"-"+signal] = append(shared[component+"-"+signal], c)
					}
				}
			}
		}
	}
	w := newWorld(t, append(slices.Clone(alone), slices.Concat(values(shared)...)...))
	t.Run("alone", func(t *testing.T) {
		for _, c := range alone {
			t.Run(c.String(), func(t *testing.T) {
				t.Parallel()
				c.world, c.t = w, t
				c.target = w.targets[c.kind+c.phase]
				c.target.Lock() // one run at a time on each target, and so on each agent's node
				defer c.target.Unlock()
				require.NoError(t, c.alone())
			})
		}
	})
	for _, round := range rounds {
		t.Run(round, func(t *testing.T) { w.together(t, shared[round]) })
	}
	// A process that came back late must have done nothing either.
	for _, c := range append(alone, slices.Concat(values(shared)...)...) {
		if c.run != "" {
			require.Empty(t, c.left(), "%s, at the end", c)
		}
	}
	for _, node := range w.nodes {
		require.Empty(t, tables(node), "a table of drill's on node %s", node)
	}
	require.NoError(t, w.returned("leader", time.Now().Add(-10*time.Second)))
}

func values(m map[string][]*cell) (all [][]*cell) {
	for _, v := range m {
		all = append(all, v)
	}
	return all
}

// cell is one component, one signal, one kind of fault and one phase.
type cell struct {
	component, signal, kind, phase string

	t      *testing.T
	world  *world
	target *target
	run    string
	member process            // the database
	found  string             // what the record said when the signal was sent
	cut    chan time.Duration // receives how long the kernel went on dropping the member's packets after the signal
}

func (c *cell) String() string {
	return fmt.Sprintf("%s-%s/%s-%s", c.component, c.signal, c.kind, c.phase)
}

// alone plays a cell whose component belongs to its run.
func (c *cell) alone() error {
	hold := 20 * time.Second
	if err := c.request("force_delete", hold); err != nil {
		return err
	}
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
	if err := c.findMember(); err != nil {
		return err
	}
	victims, err := c.victims()
	if err != nil {
		return err
	}
	if err := c.moment(hold); err != nil {
		return err
	}
	if err := c.note(); err != nil {
		return err
	}
	struck := time.Now()
	if err := c.world.strike(c.t, victims, c.signal, paused[c.component]); err != nil {
		return err
	}
	c.watchCut(struck)
	back := struck // a runner or an agent that was killed stays away
	if c.signal == stop {
		back = struck.Add(paused[c.component])
	}
	return c.settle(struck, back)
}

// together plays the cells of a component that all runs share. The runs begin one after the other, so that they are in
// their phases when the first cut is injected.
func (w *world) together(t *testing.T, all []*cell) {
	of := map[string][]*cell{}
	for _, c := range all {
		c.world, c.t, c.target = w, t, w.targets[c.kind+c.phase]
		of[c.phase] = append(of[c.phase], c)
	}
	each := func(phases []string, do func(*cell) error) {
		t.Helper()
		var wg sync.WaitGroup
		for _, phase := range phases {
			for _, c := range of[phase] {
				wg.Go(func() {
					if err := do(c); err != nil {
						t.Errorf("%s: %v", c, err)
					}
				})
			}
		}
		wg.Wait()
		if t.Failed() {
			t.FailNow()
		}
	}
	for began := time.Now(); !w.idle(); time.Sleep(time.Second) { // what a failed round left
		require.Less(t, time.Since(began), 2*time.Minute, "runs of an earlier round do not end")
	}
	long := []string{held, reverting}
	each(long, func(c *cell) error { return c.request("force_delete", 60*time.Second) })
	each(long, func(c *cell) error { return c.await("the injection", isInjecting) })
	each([]string{injecting}, func(c *cell) error { return c.request("graceful", 10*time.Second) })
	time.Sleep(6 * time.Second)
	each([]string{steady}, func(c *cell) error { return c.request("force_delete", 10*time.Second) })
	victims, err := all[0].victims()
	require.NoError(t, err)
	each(phases, (*cell).findMember)
	each([]string{injecting}, func(c *cell) error {
		if c.kind == killPrimary && len(of[injecting]) > 1 {
			return nil // it takes 8 s, since its sessions end with its grace period, and begins before the cut, which needs agents first
		}
		return c.await("the injection", isInjecting)
	})
	each(phases, (*cell).note)
	each([]string{reverting}, func(c *cell) error { // a cancelled run reverts at once
		c.found += ", cancelled"
		return w.runs.Cancel(context.Background(), c.run)
	})
	struck := time.Now()
	require.NoError(t, w.strike(t, victims, all[0].signal, paused[all[0].component]))
	each(phases, func(c *cell) error { c.watchCut(struck); return nil })
	if all[0].signal == stop {
		time.Sleep(time.Until(struck.Add(paused[all[0].component])))
	}
	require.NoError(t, w.returned(all[0].component, struck))
	back := time.Now()
	t.Logf("%s is back %.1f s after its %s", all[0].component, back.Sub(struck).Seconds(), all[0].signal)
	each(phases, func(c *cell) error { return c.settle(struck, back) })
}

func isInjecting(r *kube.DrillRun) bool {
	return slices.ContainsFunc(r.Status.Faults, func(f kube.FaultRecord) bool { return f.Phase == kube.FaultInjecting })
}
