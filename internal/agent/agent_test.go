package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

const testTTL = 2 * time.Second

// agentProcess says that this process is to be an agent, which the tests then kill, stop and starve.
const agentProcess = "DRILL_TEST_AGENT"

// ownNamespace is the one that the tests began in.
var ownNamespace namespace

type processConfig struct {
	Authority   []byte
	Certificate Certificate
	Proc        string
}

func TestMain(m *testing.M) {
	home, err := os.Open("/proc/self/ns/net") // before any thread has left it
	if err != nil {
		panic(err)
	}
	ownNamespace = namespace{home}
	if os.Getenv(agentProcess) == "" {
		os.Exit(m.Run())
	}
	err = func() error {
		var c processConfig
		if err := json.NewDecoder(os.Stdin).Decode(&c); err != nil {
			return err
		}
		config, err := ServerConfig(c.Authority, c.Certificate)
		if err != nil {
			return err
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		fmt.Println(l.Addr())
		a := New(Options{Run: "r1", Generation: 3, TTL: testTTL, Proc: c.Proc, Log: zap.NewNop()})
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		return a.Serve(ctx, l, config)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// theater is two pods, an agent in a process of its own, and the runner's connection to it.
type theater struct {
	a, b       *side
	authority  *Authority
	process    *exec.Cmd
	address    string
	client     *Client
	generation atomic.Int64
}

const containerA, containerB = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

// fakeProc is a /proc with one process in each namespace, named as containerd does on cgroup v2 and v1.
func fakeProc(t *testing.T, a, b namespace) string {
	t.Helper()
	proc := t.TempDir()
	self := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ownNamespace.fd())
	process := func(pid, cgroup, ns string) {
		require.NoError(t, os.MkdirAll(filepath.Join(proc, pid, "ns"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(proc, pid, "cgroup"), []byte(cgroup), 0o644))
		require.NoError(t, os.Symlink(ns, filepath.Join(proc, pid, "ns", "net")))
	}
	fd := func(n namespace) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.fd()) }
	process("1", "0::/init.scope\n", self)
	process("2", "0::/system.slice\n", self)
	process("4001", "0::/../../kubepods-besteffort.slice/cri-containerd-"+containerA+".scope\n", fd(a))
	process("4002", "12:memory:/kubepods/burstable/pod1/"+containerB+"\n1:name=systemd:/x\n", fd(b))
	return proc
}

func newTheater(t *testing.T) *theater {
	t.Helper()
	th := new(theater)
	th.generation.Store(3)
	th.a, th.b = twoSides(t)
	var err error
	th.authority, err = NewAuthority("r1", time.Hour)
	require.NoError(t, err)
	th.launch(t)
	th.connect(t)
	require.NoError(t, th.prepare(t))
	return th
}

func (th *theater) prepare(t *testing.T) error {
	return th.client.Prepare(t.Context(), []Pod{
		{UID: "a", IP: th.a.v4, Containers: []string{containerA}}, {UID: "b", IP: th.b.v4, Containers: []string{containerB}}})
}

// launch starts the agent, through another program when wrapper names one.
func (th *theater) launch(t *testing.T, wrapper ...string) {
	t.Helper()
	own, err := th.authority.Issue("agent-0")
	require.NoError(t, err)
	config, err := json.Marshal(processConfig{th.authority.PEM(), own, fakeProc(t, th.a.namespace, th.b.namespace)})
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	command := append(wrapper, self)
	th.process = exec.Command(command[0], command[1:]...)
	th.process.Env = append(os.Environ(), agentProcess+"=1")
	th.process.Stderr = os.Stderr
	in, err := th.process.StdinPipe()
	require.NoError(t, err)
	out, err := th.process.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, th.process.Start())
	t.Cleanup(func() { _ = th.process.Process.Kill(); _ = th.process.Wait() })
	_, err = in.Write(config)
	require.NoError(t, err)
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan(), "the agent says where it listens")
	th.address = lines.Text()
}

func (th *theater) connect(t *testing.T) {
	t.Helper()
	own, err := th.authority.Issue(RunnerName)
	require.NoError(t, err)
	th.client, err = th.authority.Connect(t.Context(), own, th.target())
	require.NoError(t, err)
	t.Cleanup(th.client.Close)
}

func (th *theater) target() Target {
	return Target{Name: "agent-0", Address: th.address, Run: "r1", Generation: th.generation.Load, TTL: testTTL}
}

// cut cuts the pods off from each other, at both ends.
func (th *theater) cut(t *testing.T, atMost time.Duration) {
	t.Helper()
	require.NoError(t, th.tryCut(t, atMost))
}

func (th *theater) tryCut(t *testing.T, atMost time.Duration) error {
	return th.client.Cut(t.Context(), map[string]Cut{
		"a": {Peers: []netip.Addr{th.b.v4, th.b.v6}, In: true, Out: true},
		"b": {Peers: []netip.Addr{th.a.v4, th.a.v6}, In: true, Out: true},
	}, atMost)
}

// TestAnAgentNeedsItsThreeCapabilitiesAndNoOther holds the agent pod's list to what the kernel asks for.
func TestAnAgentNeedsItsThreeCapabilitiesAndNoOther(t *testing.T) {
	all := []string{"+sys_ptrace", "+sys_admin", "+net_admin"}
	for _, missing := range append([]string{""}, all...) {
		t.Run("without "+missing, func(t *testing.T) {
			th := new(theater)
			th.generation.Store(3)
			th.a, th.b = twoSides(t)
			var err error
			th.authority, err = NewAuthority("r1", time.Hour)
			require.NoError(t, err)
			set := strings.Join(append([]string{"-all"}, slices.DeleteFunc(slices.Clone(all), func(c string) bool { return c == missing })...), ",")
			th.launch(t, "setpriv", "--bounding-set", set)
			th.connect(t)
			err = th.prepare(t)
			if err == nil {
				err = th.tryCut(t, time.Minute)
			}
			if missing != "" {
				require.Error(t, err)
				t.Log(err)
				return
			}
			require.NoError(t, err)
			_, err = th.client.Heal(t.Context())
			require.NoError(t, err)
		})
	}
}

func TestARunnerCutsProvesAndHeals(t *testing.T) {
	th := newTheater(t)
	ctx := t.Context()
	before := th.a.nft(t, "list", "ruleset") + th.b.nft(t, "list", "ruleset")
	to, err := th.client.Listen(ctx, "b")
	require.NoError(t, err)
	require.Equal(t, th.b.v4, to.Addr())
	path := Path{Pod: "a", To: to, Protocol: Echo}
	kept, err := th.client.Open(ctx, path, time.Second)
	require.NoError(t, err)
	require.True(t, kept.OK, kept.How)
	spare, err := th.client.Open(ctx, path, time.Second)
	require.NoError(t, err)

	th.cut(t, time.Minute)
	r, err := th.client.Reach(ctx, path, 500*time.Millisecond)
	require.NoError(t, err)
	require.Equal(t, Reach{How: Timeout}, r, "a new connection")
	r, err = th.client.Echo(ctx, kept.Kept, 500*time.Millisecond)
	require.NoError(t, err)
	require.Equal(t, Reach{How: Timeout}, r, "an open connection")
	s, err := th.client.Status(ctx)
	require.NoError(t, err)
	require.True(t, s.Cut)
	require.Empty(t, s.Broken)
	require.Positive(t, s.Counters["a"].Out)
	require.ErrorContains(t, th.client.Cut(ctx, nil, time.Minute), "cut already")
	time.Sleep(testTTL + time.Second) // the heartbeat holds it for longer than a TTL
	require.False(t, th.a.reaches(to))
	require.NoError(t, th.client.Lost())

	s, err = th.client.Heal(ctx)
	require.NoError(t, err)
	require.True(t, s.Cut, "as it stood before")
	r, err = th.client.Reach(ctx, path, 500*time.Millisecond)
	require.NoError(t, err)
	require.True(t, r.OK, r.How)
	r, err = th.client.Echo(ctx, spare.Kept, 500*time.Millisecond)
	require.NoError(t, err)
	require.True(t, r.OK, r.How)
	_, err = th.client.Heal(ctx)
	require.NoError(t, err, "any number of times")
	require.Equal(t, before, th.a.nft(t, "list", "ruleset")+th.b.nft(t, "list", "ruleset"))
}

// TestWhoeverDiesTheTrafficFlowsAgain is the safety promise: each row ends somebody without a goodbye.
func TestWhoeverDiesTheTrafficFlowsAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		end   func(th *theater) error
		limit time.Duration
	}{
		"agent killed":  {func(th *theater) error { return th.process.Process.Kill() }, time.Second},
		"agent told":    {func(th *theater) error { return th.process.Process.Signal(syscall.SIGTERM) }, time.Second},
		"agent hung":    {func(th *theater) error { return th.process.Process.Signal(syscall.SIGSTOP) }, testTTL + time.Second},
		"runner silent": {func(th *theater) error { th.client.Close(); return nil }, testTTL + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			th := newTheater(t)
			ofA, ofB := th.a.nft(t, "list", "ruleset"), th.b.nft(t, "list", "ruleset")
			to, _ := th.b.echo(t)
			_, back := th.a.echo(t)
			th.cut(t, time.Minute)
			require.False(t, th.a.reaches(to))
			require.False(t, th.b.reaches(back))
			since := time.Now()
			require.NoError(t, tc.end(th))
			took := th.a.flowsAgain(t, to, since, tc.limit)
			th.b.flowsAgain(t, back, since, tc.limit+200*time.Millisecond)
			t.Logf("flows again after %s", took)
			if name == "agent hung" {
				require.NoError(t, th.process.Process.Signal(syscall.SIGCONT))
			}
			require.Eventually(t, func() bool {
				return th.a.nft(t, "list", "ruleset") == ofA && th.b.nft(t, "list", "ruleset") == ofB
			}, testTTL, 20*time.Millisecond, "not a trace is left")
			if name == "agent hung" || name == "runner silent" {
				th.connect(t)
				s, err := th.client.Status(t.Context())
				require.NoError(t, err)
				require.False(t, s.Cut)
				require.NotEmpty(t, s.Broken, "the runner hears that its cut had a hole")
			}
		})
	}
}

func TestACutEndsWhenItsTimeIsUp(t *testing.T) {
	th := newTheater(t)
	to, _ := th.b.echo(t)
	since := time.Now()
	th.cut(t, 1500*time.Millisecond)
	require.False(t, th.a.reaches(to))
	require.Greater(t, th.a.flowsAgain(t, to, since, 3*time.Second), 1400*time.Millisecond)
	require.Eventually(t, func() bool {
		s, err := th.client.Status(t.Context())
		return err == nil && !s.Cut && s.Broken != ""
	}, testTTL, 50*time.Millisecond)
}

func TestAnOlderGenerationIsRefused(t *testing.T) {
	th := newTheater(t)
	to, _ := th.b.echo(t)
	th.generation.Store(5)
	th.cut(t, time.Minute)
	own, err := th.authority.Issue(RunnerName)
	require.NoError(t, err)
	old := th.target()
	old.Generation = func() int64 { return 4 }
	_, err = th.authority.Connect(t.Context(), own, old)
	require.ErrorContains(t, err, "superseded")
	other := th.target()
	other.Run = "r2"
	_, err = th.authority.Connect(t.Context(), own, other)
	require.ErrorContains(t, err, "not for r2")
	th.generation.Store(4)
	_, err = th.client.Heal(t.Context())
	require.ErrorContains(t, err, "superseded")
	require.False(t, th.a.reaches(to))
	// And it does not keep the cut alive either.
	th.a.flowsAgain(t, to, time.Now(), testTTL+time.Second)
}

func TestOnlyTheRunnerOfTheRunIsListenedTo(t *testing.T) {
	th := newTheater(t)
	stranger, err := NewAuthority("r1", time.Hour)
	require.NoError(t, err)
	own, err := stranger.Issue(RunnerName)
	require.NoError(t, err)
	mixed := &Authority{cert: th.authority.cert, key: th.authority.key, pool: th.authority.pool}
	_, err = mixed.Connect(t.Context(), own, th.target())
	require.Error(t, err, "a runner that another authority vouches for")
	asAgent, err := th.authority.Issue("agent-1")
	require.NoError(t, err)
	_, err = th.authority.Connect(t.Context(), asAgent, th.target())
	require.Error(t, err, "an agent that plays the runner")
	runner, err := th.authority.Issue(RunnerName)
	require.NoError(t, err)
	wrong := th.target()
	wrong.Name = "agent-1"
	_, err = th.authority.Connect(t.Context(), runner, wrong)
	require.ErrorContains(t, err, "agent-1", "another agent than the one that was asked for")
}

func TestAHoleInTheCutIsReported(t *testing.T) {
	a, b := twoSides(t)
	agent := New(Options{Run: "r1", TTL: time.Second, Proc: fakeProc(t, a.namespace, b.namespace), Log: zap.NewNop()})
	t.Cleanup(func() { require.NoError(t, agent.Close()) })
	require.NoError(t, agent.hear("r1", 1))
	require.NoError(t, agent.prepare([]Pod{{UID: "a", IP: a.v4, Containers: []string{containerA}}}))
	require.NoError(t, agent.cut(cutArgs{For: time.Minute, Cuts: map[string]Cut{"a": {Peers: []netip.Addr{b.v4}, In: true, Out: true}}}))
	time.Sleep(1200 * time.Millisecond) // this process was starved for longer than the rules live
	require.NoError(t, agent.hear("r1", 1))
	require.True(t, agent.status().Cut, "nobody has noticed yet")
	agent.tend()
	s := agent.status()
	require.False(t, s.Cut)
	require.Contains(t, s.Broken, errLapsed.Error())
	require.Empty(t, a.nft(t, "list", "ruleset"))
}

func TestAWrongNamespaceIsNeverCut(t *testing.T) {
	a, b := twoSides(t)
	proc := fakeProc(t, a.namespace, b.namespace)
	_, err := findNamespace(proc, []string{containerA}, b.v4)
	require.ErrorContains(t, err, "without the pod's address")
	_, err = findNamespace(proc, []string{"cccccccccccccccccccccccccccccccccccccccc"}, a.v4)
	require.ErrorIs(t, err, errNoProcess)
	_, err = findNamespace(proc, []string{""}, a.v4)
	require.ErrorIs(t, err, errNoProcess, "a container that has no id yet is in every cgroup's name")
	const onHost = "dddddddddddddddddddddddddddddddddddddddd"
	require.NoError(t, os.WriteFile(filepath.Join(proc, strconv.Itoa(2), "cgroup"), []byte("0::/cri-containerd-"+onHost+".scope"), 0o644))
	_, err = findNamespace(proc, []string{onHost}, netip.MustParseAddr("127.0.0.1"))
	require.ErrorContains(t, err, "node's network")
	n, err := findNamespace(proc, []string{containerB}, b.v4)
	require.NoError(t, err)
	require.NoError(t, n.close())
}

func TestACutThatFailsHalfWayIsTakenBack(t *testing.T) {
	a, b := twoSides(t)
	agent := New(Options{Run: "r1", Proc: fakeProc(t, a.namespace, b.namespace), Log: zap.NewNop()})
	t.Cleanup(func() { require.NoError(t, agent.Close()) })
	require.NoError(t, agent.hear("r1", 1))
	require.NoError(t, agent.prepare([]Pod{{UID: "a", IP: a.v4, Containers: []string{containerA}}}))
	cut := Cut{Peers: []netip.Addr{b.v4}, In: true, Out: true}
	require.ErrorContains(t, agent.cut(cutArgs{For: time.Minute, Cuts: map[string]Cut{"a": cut, "b": cut}}), "not prepared")
	require.Empty(t, a.nft(t, "list", "ruleset"))
	require.False(t, agent.status().Cut)
	_, err := agent.listen("b")
	require.Error(t, err)
	require.NotErrorIs(t, err, net.ErrClosed)
}
