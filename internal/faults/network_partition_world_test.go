package faults

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/failoverdrill/drill/internal/agent"
	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// network is two pods, a primary and a replica, in real network namespaces of the test's own; an API server that
// both reach; and a fake cluster whose agent pods are real agents in this process. It needs root, and fails without.
type network struct {
	kube  *fake.Clientset
	deps  Deps
	group *groupOf
	pods  []netns.NsHandle
	api   *httptest.Server
	proc  string

	mu     sync.Mutex
	agents map[string]context.CancelFunc
	stop   sync.WaitGroup
}

// ownNamespace is the one that the tests began in, opened before any thread has left it.
var ownNamespace netns.NsHandle

func TestMain(m *testing.M) {
	if at := os.Getenv("DRILL_TEST_API_SERVER"); at != "" {
		serveAPIAlone(at)
		return
	}
	var err error
	if ownNamespace, err = netns.Get(); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// groupOf is a target with a primary and a replica.
type groupOf struct{ members []drill.Member }

func (g *groupOf) Primary(context.Context) (drill.Member, error)   { return g.members[0], nil }
func (g *groupOf) Members(context.Context) ([]drill.Member, error) { return g.members, nil }
func (g *groupOf) Answers(context.Context, drill.Member) bool      { return true }
func (g *groupOf) Connect(context.Context, drill.Member)           {}
func (g *groupOf) Connection(drill.Member) drill.Connection        { return drill.Connection{} }

func containerID(i int) string { return fmt.Sprintf("%064d", i+1) }

func podIP(i int) string { return fmt.Sprintf("10.78.0.%d", i+1) }

const apiAddress = "10.78.0.9"

func newNetwork(t *testing.T) *network {
	t.Helper()
	require.Zero(t, os.Geteuid(), "the partition's tests make network namespaces, and need root")
	n := &network{agents: map[string]context.CancelFunc{}, proc: t.TempDir(), group: &groupOf{}}
	objects := []k8sruntime.Object{
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes"},
			Spec: corev1.ServiceSpec{ClusterIPs: []string{apiAddress}, Ports: []corev1.ServicePort{{Port: 6443}}}},
		&discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes"}},
	}
	n.process(t, "1", "", fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), int(ownNamespace)))
	for i := range 2 {
		n.pods = append(n.pods, newNetns(t))
		n.process(t, strconv.Itoa(100+i), "0::/kubepods.slice/cri-containerd-"+containerID(i)+".scope", fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), int(n.pods[i])))
		m := drill.Member{Namespace: "shop", Name: fmt.Sprintf("orders-%d", i), UID: fmt.Sprintf("u%d", i), Node: fmt.Sprintf("n%d", i+1), Role: drill.RoleReplica}
		if i == 0 {
			m.Role = drill.RolePrimary
		}
		n.group.members = append(n.group.members, m)
		objects = append(objects, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: m.Name, UID: k8sUID(m.UID), Labels: map[string]string{"app": "orders"}},
			Spec: corev1.PodSpec{NodeName: m.Node}, Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: podIP(i), PodIPs: []corev1.PodIP{{IP: podIP(i)}},
				ContainerStatuses: []corev1.ContainerStatus{{ContainerID: "containerd://" + containerID(i), State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}}})
	}
	n.process(t, "self", "", fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), int(n.pods[1]))) // where an agent's own network reaches the pods'
	n.wire(t)
	n.serveAPI(t)
	n.kube = fake.NewClientset(objects...)
	n.kube.PrependReactor("create", "pods", n.created())
	n.kube.PrependReactor("delete", "pods", n.deleted)
	n.deps = Deps{Run: "run-1", Kube: n.kube, Namespace: "shop", Target: func(name string) (Target, bool) { return n.group, name == "orders" },
		Agents: Agents{Image: "drill:test", Generation: func() int64 { return 2 }, Timeout: time.Minute}}
	t.Cleanup(func() {
		n.mu.Lock()
		for _, cancel := range n.agents {
			cancel()
		}
		n.mu.Unlock()
		n.stop.Wait()
	})
	return n
}

func (n *network) process(t *testing.T, pid, cgroup, ns string) {
	t.Helper()
	dir := filepath.Join(n.proc, pid)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "ns"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cgroup"), []byte(cgroup), 0o644))
	require.NoError(t, os.Symlink(ns, filepath.Join(dir, "ns/net")))
}

// newNetns makes a namespace on a thread that then ends.
func newNetns(t *testing.T) netns.NsHandle {
	t.Helper()
	type made struct {
		ns  netns.NsHandle
		err error
	}
	done := make(chan made)
	go func() {
		runtime.LockOSThread()
		h, err := netns.New()
		done <- made{h, err}
	}()
	m := <-done
	require.NoError(t, m.err)
	t.Cleanup(func() { _ = m.ns.Close() })
	return m.ns
}

// in runs f on a thread that is in the pod's namespace, and that then ends.
func (n *network) in(t *testing.T, pod int, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := netns.Set(n.pods[pod]); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	require.NoError(t, <-done)
}

// wire connects the two; the replica's end has the API server's address, too.
func (n *network) wire(t *testing.T) {
	t.Helper()
	n.in(t, 0, func() error {
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(n.pods[1])})
	})
	for i := range n.pods {
		n.in(t, i, func() error {
			for _, name := range []string{"lo", "eth0"} {
				link, err := netlink.LinkByName(name)
				if err != nil {
					return err
				}
				if err := netlink.LinkSetUp(link); err != nil {
					return err
				}
				for _, ip := range map[bool][]string{true: {podIP(i)}, false: nil}[name == "eth0"] {
					if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(ip), Mask: net.CIDRMask(24, 32)}}); err != nil {
						return err
					}
				}
				if name == "eth0" && i == 1 {
					if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(apiAddress), Mask: net.CIDRMask(24, 32)}}); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
}

func (n *network) serveAPI(t *testing.T) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	_ = server.Listener.Close()
	n.in(t, 1, func() (err error) {
		server.Listener, err = net.Listen("tcp", apiAddress+":6443")
		return err
	})
	server.StartTLS()
	n.api = server
	t.Cleanup(server.Close)
}

// serveAPIAlone is an API server as a process of its own, which can be stopped.
func serveAPIAlone(at string) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	_ = server.Listener.Close()
	var err error
	if server.Listener, err = net.Listen("tcp", at); err != nil {
		panic(err)
	}
	server.StartTLS()
	select {}
}

// created lets a new agent pod run at once: it is an agent in this process.
func (n *network) created() ktesting.ReactionFunc {
	return func(action ktesting.Action) (bool, k8sruntime.Object, error) {
		pod := action.(ktesting.CreateAction).GetObject().(*corev1.Pod)
		ip := map[string]string{"n1": "127.0.78.1", "n2": "127.0.78.2"}[pod.Spec.NodeName]
		pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip}
		// Past the client, which holds its lock while it reacts.
		found, err := n.kube.Tracker().Get(corev1.SchemeGroupVersion.WithResource("secrets"), kube.AgentNamespace, pod.Spec.Volumes[0].Secret.SecretName)
		if err != nil {
			return true, nil, err
		}
		secret := found.(*corev1.Secret)
		files := secret.Data
		config, err := agent.ServerConfig(files[kube.AgentAuthority], agent.Certificate{Cert: files[kube.AgentCert], Key: files[kube.AgentKey]})
		if err != nil {
			return true, nil, err
		}
		l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", ip, agent.Port))
		if err != nil {
			return true, nil, err
		}
		ctx, cancel := context.WithCancel(context.Background())
		n.mu.Lock()
		n.agents[pod.Name] = cancel
		n.mu.Unlock()
		n.stop.Go(func() {
			_ = agent.New(agent.Options{Run: "run-1", Generation: 2, Proc: n.proc, Log: zap.NewNop()}).Serve(ctx, l, config)
		})
		return false, nil, nil
	}
}

func (n *network) deleted(action ktesting.Action) (bool, k8sruntime.Object, error) {
	n.end(action.(ktesting.DeleteAction).GetName())
	return false, nil, nil
}

// end ends an agent, as its kubelet would.
func (n *network) end(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if cancel := n.agents[name]; cancel != nil {
		cancel()
	}
}

// rulesets is what nft lists in both pods.
func (n *network) rulesets(t *testing.T) string {
	t.Helper()
	return n.ruleset(t, 0) + n.ruleset(t, 1)
}

func (n *network) ruleset(t *testing.T, pod int) string {
	t.Helper()
	var out bytes.Buffer
	n.in(t, pod, func() error {
		c := exec.Command("nft", "list", "ruleset")
		c.Stdout, c.Stderr = &out, &out
		return c.Run()
	})
	return out.String()
}

// reaches reports whether the first pod reaches an address of the second one's.
func (n *network) reaches(t *testing.T, to string) bool {
	t.Helper()
	ok := false
	n.in(t, 0, func() error {
		c, err := net.DialTimeout("tcp", to, 300*time.Millisecond)
		if ok = err == nil; ok {
			_ = c.Close()
		}
		return nil
	})
	return ok
}

// left are the agent pods and Secrets that are still there.
func (n *network) left(t *testing.T) (all []string) {
	t.Helper()
	pods, err := n.kube.CoreV1().Pods(kube.AgentNamespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	for _, p := range pods.Items {
		all = append(all, p.Name)
	}
	secrets, err := n.kube.CoreV1().Secrets(kube.AgentNamespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	for _, s := range secrets.Items {
		all = append(all, s.Name)
	}
	return all
}

func run(name string, args ...string) error { return exec.Command(name, args...).Run() }
