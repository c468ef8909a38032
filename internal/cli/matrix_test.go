package cli

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/test/bubble"
	"github.com/failoverdrill/drill/test/fakeapi"
)

// Whose writes go wrong. In all scenes but the healthy ones whoever is to act for the runner does so because it died in its fault.
const (
	actorRunner  = "runner"
	actorHealthy = "leader-healthy" // the server that leads, while the runner is well
	actorLeader  = "leader"         // the server that leads, which puts back what a dead runner left
	actorRecover = "recover"        // drill recover, while there is no server
)

var actors = []string{actorRunner, actorHealthy, actorLeader, actorRecover}

// drills are what is injected, by the kind of fault.
var matrixDrills = map[string]string{
	"hold_down": `fault "kill_primary" "orders" { hold_down = "20s" }`,
	"pod_kill":  `fault "pod_kill" "orders" { method = "force_delete" }`,
	"network_partition": `fault "network_partition" "orders" {
    duration = "20s"
    from     = { role = "primary" }
    to       = { role = "replica" }
  }`,
}

func matrixDrill(kind string) string {
	return fmt.Sprintf(`drill "matrix" {
  timeout = "5m"
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "app=orders"
    service   = "orders"
    dsn       = "postgres://u@orders.shop/db"
  }
  steady_state { hold = "5s" }
  %s
  objectives { recovery_time = "60s" }
}
`, matrixDrills[kind])
}

// matrixCell is one of the matrix: whose how many-th write goes wrong, how, in a run with which fault.
type matrixCell struct {
	kind, actor string
	trouble     fakeapi.Trouble
	seed        uint64
}

func (x matrixCell) String() string {
	return fmt.Sprintf("%s/%s/%s/%d/%d", x.kind, x.actor, x.trouble.Mode, x.trouble.Write, x.seed)
}

// outcome is how a cell ended.
type outcome struct {
	broken []string
	writes []fakeapi.Write // of the actor
	says   string
}

// play plays one cell, until the run is over and everything had its time.
func play(t *testing.T, x matrixCell) (o outcome) {
	bubble.Test(t, func(t *testing.T) {
		x.trouble.Late = time.Duration(3+rand.New(rand.NewPCG(x.seed, uint64(x.trouble.Write))).IntN(37)) * time.Second
		c := newCluster()
		var actor *fakeapi.Client
		c.watched.lateness = x.trouble.Mode == fakeapi.Stall || x.trouble.Mode == fakeapi.DieLate
		c.hooks = func(name string, way *fakeapi.Client) {
			who, _, _ := strings.Cut(x.actor, "-")
			way.Counts = counted()
			if actor == nil && (name == who || who == actorLeader && name == "server-a") {
				actor, way.Trouble = way, x.trouble
			}
		}
		servers := []*process{c.serve("server-a")}
		time.Sleep(3 * time.Second)
		servers = append(servers, c.serve("server-b"))
		c.ask(t, matrixDrill(x.kind))
		if x.actor == actorLeader || x.actor == actorRecover {
			c.await(3*time.Minute, func() bool { return c.runner() != nil && c.hit() })
			if x.actor == actorRecover {
				for _, s := range servers {
					s.client.Kill()
					s.cancel(errKilled)
				}
			}
			time.Sleep(3 * time.Second)
			if p := c.runner(); p != nil {
				p.client.Kill()
			}
		}
		if x.actor == actorRecover {
			c.recover()
			c.serve("server-c")
		}
		c.await(30*time.Minute, c.over)
		time.Sleep(2 * time.Minute)
		o.broken = c.judge(x)
		if x.trouble.Mode == fakeapi.None && !c.hit() {
			o.broken = append(o.broken, "nothing was injected, so that nothing is tested")
		}
		if actor != nil {
			o.writes = actor.Writes()
		}
		if r := c.record(); r != nil {
			o.says = fmt.Sprintf("%s %s: %s", r.Status.Phase, r.Status.Verdict, r.Status.Message)
		}
		c.close()
	})
	return o
}

// counted counts all writes but those that are the same again and again: the election's, and renewals of locks after the second.
func counted() func(method, path string) bool {
	var renewals atomic.Int64
	return func(method, path string) bool {
		if path == "leases/drill-server" || strings.HasPrefix(path, "events") {
			return false
		}
		if method == "PUT" && strings.HasPrefix(path, "leases/") {
			return renewals.Add(1) <= 2
		}
		return true
	}
}

// ask asks for a run.
func (c *cluster) ask(t *testing.T, source string) {
	client, _ := c.connect("requester")
	run, err := kube.NewRuns(client.Dynamic, kube.Namespace).Create(t.Context(), kube.Spec{Drill: "matrix", File: "matrix.hcl", Source: source,
		Requester: kube.Requester{User: "somebody"}})
	require.NoError(t, err)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.run = run.Name
}

// hit reports whether the fault has been injected.
func (c *cluster) hit() bool {
	c.watched.mu.Lock()
	defer c.watched.mu.Unlock()
	return c.watched.victims+c.watched.cuts > 0
}

// recover is an operator who calls drill recover until it says that all is well.
func (c *cluster) recover() {
	for range 5 {
		time.Sleep(20 * time.Second)
		client, way := c.connect(actorRecover)
		ctx, cancel := context.WithCancelCause(context.Background())
		way.Died = func() { cancel(errKilled) }
		err := recoverRuns(ctx, c.env(new(bytes.Buffer), new(bytes.Buffer), nil), client, []string{c.run})
		way.Wait()
		if err == nil {
			return
		}
	}
}

var (
	replay = flag.String("cell", "", "play one cell of TestEveryWriteFailsOnce: kind/actor/mode/write/seed")
	seeds  = flag.Uint64("seeds", 0, "play every cell of TestEveryWriteFailsOnce with so many seeds; 0 plays every write once")
	only   = flag.String("only", "", "play only the cells of TestEveryWriteFailsOnce whose name begins so, such as pod_kill/runner")
)

// TestEveryWriteFailsOnce plays runs in which one write goes wrong, for every write of every process that writes. Whatever
// comes of it, nothing may be left, nothing may be broken twice, and no run may pass that proved nothing. Each write goes
// wrong in one way, and in every way in make torture.
func TestEveryWriteFailsOnce(t *testing.T) {
	if *replay != "" {
		again(t, *replay)
		return
	}
	begun, cells, broken := time.Now(), 0, 0
	for _, kind := range slices.Sorted(maps.Keys(matrixDrills)) {
		for _, actor := range actors {
			if !chosen(kind + "/" + actor) {
				continue
			}
			plain := play(t, matrixCell{kind: kind, actor: actor})
			cells++
			require.Empty(t, plain.broken, "%s/%s, in which nothing goes wrong: %s", kind, actor, plain.says)
			for k, write := range plain.writes {
				for _, x := range troubles(kind, actor, k) {
					if !chosen(x.String()) {
						continue
					}
					cells++
					if o := play(t, x); len(o.broken) > 0 {
						broken++
						t.Errorf("%s (%s)\n  %s\n  %s\n  again: go test ./internal/cli -run TestEveryWriteFailsOnce -v -cell %s",
							x, write.What, strings.Join(o.broken, "\n  "), o.says, x)
					}
				}
			}
		}
	}
	t.Logf("%d cells played in %.1f s: %d with a broken invariant", cells, time.Since(begun).Seconds(), broken)
}

// chosen reports whether -only leaves a cell, or anything that begins so.
func chosen(name string) bool {
	return strings.HasPrefix(name, *only) || strings.HasPrefix(*only, name+"/")
}

// troubles are the cells of one write, counted from 0.
func troubles(kind, actor string, k int) []matrixCell {
	var all []matrixCell
	if *seeds == 0 { // the ways in turn, so that alike writes, such as those of locks, go wrong in different ways
		mode := fakeapi.Modes[(k*3+len(kind)+len(actor))%len(fakeapi.Modes)]
		return []matrixCell{{kind, actor, fakeapi.Trouble{Mode: mode, Write: k + 1}, 1}}
	}
	for _, mode := range fakeapi.Modes {
		for seed := range *seeds {
			all = append(all, matrixCell{kind, actor, fakeapi.Trouble{Mode: mode, Write: k + 1}, seed + 1})
		}
	}
	return all
}

// again plays one cell, and shows what was written.
func again(t *testing.T, name string) {
	var x matrixCell
	parts := strings.Split(name, "/")
	require.Len(t, parts, 5, "kind/actor/mode/write/seed")
	x.kind, x.actor, x.trouble.Mode = parts[0], parts[1], fakeapi.Mode(parts[2])
	_, err := fmt.Sscan(parts[3]+" "+parts[4], &x.trouble.Write, &x.seed)
	require.NoError(t, err)
	o := play(t, x)
	for i, w := range o.writes {
		t.Logf("write %d: %s %s", i+1, w.At.Format("15:04:05.000"), w.What)
	}
	t.Log(o.says)
	require.Empty(t, o.broken)
}
