//go:build e2e

package kill

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"text/template"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/kube"
)

var (
	//go:embed target.yaml
	targetYAML string
	//go:embed kill.hcl
	killHCL string
	//go:embed cut.hcl
	cutHCL string
)

// world is the lab.
type world struct {
	client  *kube.Client
	runs    *kube.Runs
	nodes   []string
	targets map[string]*target // by kind and phase
}

// target is a database of one member.
type target struct {
	sync.Mutex
	Namespace string
	Node      string // where a cut's pods are: agents lock their node, so each phase has one of its own
}

// newWorld makes the targets that the cells need.
func newWorld(t *testing.T, all []*cell) *world {
	client, err := kube.Connect("", "")
	require.NoError(t, err)
	w := &world{client: client, runs: kube.NewRuns(client.Dynamic, ""), targets: map[string]*target{}}
	nodes, err := client.CoreV1().Nodes().List(context.Background(), metav1.ListOptions{})
	require.NoError(t, err)
	w.nodes = names(nodes.Items)
	require.GreaterOrEqual(t, len(w.nodes), len(phases), "a node for each phase")
	var manifests bytes.Buffer
	for i, phase := range phases {
		for _, kind := range []string{killPrimary, partition} {
			needed := false
			for _, c := range all {
				needed = needed || c.kind == kind && c.phase == phase
			}
			if !needed {
				continue
			}
			one := &target{Namespace: "kill-" + strings.ReplaceAll(kind, "_", "-") + "-" + phase}
			if kind == partition {
				one.Node = w.nodes[i]
			}
			w.targets[kind+phase] = one
			manifests.WriteString("---\n")
			require.NoError(t, template.Must(template.New("").Parse(targetYAML)).Execute(&manifests, one))
			t.Cleanup(func() { _ = kubectl("delete", "namespace", one.Namespace, "--wait=false").Run() })
		}
	}
	apply := kubectl("apply", "-f", "-")
	apply.Stdin = &manifests
	out, err := apply.CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, one := range w.targets {
		out, err = kubectl("-n", one.Namespace, "rollout", "status", "statefulset/orders", "--timeout=150s").CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	return w
}

// idle reports whether no run is in flight on a target.
func (w *world) idle() bool {
	all, err := w.runs.List(context.Background())
	if err != nil {
		return false
	}
	for _, r := range all {
		for _, one := range w.targets {
			if !r.Finished() && strings.Contains(r.Spec.Source, `"`+one.Namespace+`"`) {
				return false
			}
		}
	}
	return true
}

// process is one on a node. The nodes of kind are containers that bear the nodes' names.
type process struct {
	node string
	pid  string // as the node counts
}

// victims are the processes that the cell is about.
func (c *cell) victims() ([]process, error) {
	ctx := context.Background()
	pods := c.world.client.CoreV1()
	switch c.component {
	case "runner":
		p, err := pods.Pods(kube.Namespace).Get(ctx, kube.RunnerPod(c.run), metav1.GetOptions{})
		return ofPod(p, err)
	case "agent":
		list, err := pods.Pods(kube.AgentNamespace).List(ctx, metav1.ListOptions{LabelSelector: kube.LabelRun + "=" + c.run})
		if err != nil || len(list.Items) != 1 {
			return nil, fmt.Errorf("%d agents, not 1: %w", len(list.Items), err)
		}
		return ofPod(&list.Items[0], nil)
	case "leader":
		lease, err := c.world.client.CoordinationV1().Leases(kube.Namespace).Get(ctx, "drill-server", metav1.GetOptions{})
		if err != nil || lease.Spec.HolderIdentity == nil {
			return nil, fmt.Errorf("nobody leads: %w", err)
		}
		p, err := pods.Pods(kube.Namespace).Get(ctx, *lease.Spec.HolderIdentity, metav1.GetOptions{})
		return ofPod(p, err)
	case "apiserver":
		list, err := pods.Pods(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{LabelSelector: "component=kube-apiserver"})
		if err != nil || len(list.Items) != 1 {
			return nil, fmt.Errorf("%d API servers, not 1: %w", len(list.Items), err)
		}
		return ofPod(&list.Items[0], nil)
	case "kubelet": // of every node: those of the runner, of the victim and of the agents
		var all []process
		for _, node := range c.world.nodes {
			pid, err := onNode(node, "systemctl show -p MainPID --value kubelet")
			if err != nil {
				return nil, err
			}
			all = append(all, process{node, pid})
		}
		return all, nil
	}
	return nil, fmt.Errorf("unknown component %s", c.component)
}

// ofPod is the first process of a pod's container.
func ofPod(p *corev1.Pod, err error) ([]process, error) {
	if err != nil {
		return nil, err
	}
	if len(p.Status.ContainerStatuses) == 0 {
		return nil, fmt.Errorf("pod %s has no container yet", p.Name)
	}
	_, id, _ := strings.Cut(p.Status.ContainerStatuses[0].ContainerID, "://")
	pid, err := onNode(p.Spec.NodeName, "crictl inspect --output go-template --template '{{.info.pid}}' "+id)
	if err != nil || pid == "" || pid == "0" {
		return nil, fmt.Errorf("pod %s has no process (%q): %w", p.Name, pid, err)
	}
	return []process{{p.Spec.NodeName, pid}}, nil
}

// strike sends the signal. Who is stopped is continued after a while by its own node, also when this test is killed.
func (w *world) strike(t *testing.T, all []process, signal string, pause time.Duration) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, p := range all {
		wg.Go(func() {
			command := "kill -" + signal + " " + p.pid
			if signal == stop {
				command += fmt.Sprintf(" && { setsid sh -c 'sleep %.0f; kill -CONT %s' >/dev/null 2>&1 </dev/null & }", pause.Seconds(), p.pid)
				t.Cleanup(func() { _, _ = onNode(p.node, "kill -CONT "+p.pid+" 2>/dev/null || true") })
			}
			_, errs[i] = onNode(p.node, command)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// returned waits until a component that all share works again, and somebody leads.
func (w *world) returned(component string, since time.Time) error {
	why := errors.New("")
	for began := time.Now(); time.Since(began) < 2*time.Minute; time.Sleep(500 * time.Millisecond) {
		if why = w.works(component, since); why == nil {
			return nil
		}
	}
	return fmt.Errorf("the %s did not return: %w", component, why)
}

func (w *world) works(component string, since time.Time) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if component == "kubelet" {
		for _, node := range w.nodes {
			if out, err := onNode(node, "systemctl is-active kubelet && curl -sf -m 2 http://127.0.0.1:10248/healthz || true"); err != nil || !strings.Contains(out, "active") {
				return fmt.Errorf("%s on %s: %w", out, node, err)
			}
		}
	}
	if _, err := w.client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err != nil {
		return err
	}
	lease, err := w.client.CoordinationV1().Leases(kube.Namespace).Get(ctx, "drill-server", metav1.GetOptions{})
	if err != nil {
		return err
	}
	if lease.Spec.RenewTime == nil || lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" ||
		time.Since(lease.Spec.RenewTime.Time) > 4*time.Second || !lease.Spec.RenewTime.After(since) {
		return errors.New("no server leads")
	}
	return nil
}

// findMember finds the process of the database.
func (c *cell) findMember() error {
	if c.kind != partition {
		return nil
	}
	p, err := c.world.client.CoreV1().Pods(c.target.Namespace).Get(context.Background(), "orders-0", metav1.GetOptions{})
	found, err := ofPod(p, err)
	if err == nil {
		c.member = found[0]
	}
	return err
}

// watchCut looks twice a second whether the kernel still drops packets of the member's, and says on c.cut for how long it
// did. A cut that had ended by the first look says nothing.
func (c *cell) watchCut(began time.Time) {
	c.cut = make(chan time.Duration, 1)
	if c.kind != partition {
		c.cut <- 0
		return
	}
	go func() {
		enter := "nsenter --net=/proc/" + c.member.pid + "/ns/net nft list "
		for seen := time.Duration(0); ; time.Sleep(500 * time.Millisecond) {
			out, err := onNode(c.member.node, enter+"tables | grep -q failoverdrill && "+enter+"table inet failoverdrill | grep -c 'elements =' || true")
			switch after := time.Since(began); {
			case err == nil && out != "" && out != "0":
				seen = after
			case err == nil && (seen > 0 || after > 4*time.Second), after > 3*time.Minute:
				if seen > 0 {
					seen = after
				}
				c.cut <- seen
				return
			}
		}
	}()
}

// tables lists the network namespaces on a node in which a table of drill's is.
func tables(node string) []string {
	out, err := onNode(node, `seen=
for p in /proc/[0-9]*; do
	n=$(readlink $p/ns/net) || continue
	case "$seen" in *"$n"*) continue ;; esac
	seen="$seen $n"
	if nsenter --net=$p/ns/net nft list tables 2>/dev/null | grep -q failoverdrill; then echo "a table in $n of $node"; fi
done`)
	if err != nil {
		return []string{err.Error()}
	}
	if out == "" {
		return nil
	}
	return strings.Split(out, "\n")
}

func onNode(node, command string) (string, error) {
	out, err := exec.Command("docker", "exec", node, "bash", "-c", command).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("on %s: %s: %w: %s", node, command, err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

func kubectl(args ...string) *exec.Cmd {
	path, err := filepath.Abs("../lab/bin/kubectl")
	if lab := os.Getenv("LAB"); lab != "" {
		path = filepath.Join(filepath.Dir(lab), "bin", "kubectl")
	}
	if _, missing := os.Stat(path); err != nil || missing != nil {
		path = "kubectl"
	}
	return exec.Command(path, args...)
}
