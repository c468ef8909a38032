//go:build truth

package truth

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/failoverdrill/drill/internal/drill"
)

// stage is a network namespace of the test's own, with servers in it and the means to break them. The prober runs in it
// as a process of its own, so that what starves it does not starve the truth.
type stage struct {
	ns    netns.NsHandle
	cut   *nftables.Conn
	sets  map[string]*nftables.Set // by sort: the ports that suffer it
	mu    sync.Mutex               // one change of the rules at a time
	usual uint32                   // for how many milliseconds an answer waits when all is well
	calm  bool                     // the prober gets the processor whenever it wants it
	mood  *os.File                 // how each lane's server behaves, in memory that the server shares
}

// lane is one server of the stage.
type lane struct {
	number int
	port   uint16
	pid    int // of the process that is its own, if it has one: a hang stops that process
}

const firstPort = 20000

// newStage makes the namespace and its rules. It needs root, and fails without: these tests never skip.
func newStage(t *testing.T) *stage {
	t.Helper()
	require.Zero(t, os.Geteuid(), "the truth tests make network namespaces, and need root")
	s := &stage{}
	made := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends, the namespace stays by its descriptor
		h, err := netns.New()
		s.ns = h
		made <- err
	}()
	require.NoError(t, <-made, "make a network namespace")
	t.Cleanup(func() { _ = s.ns.Close() })
	s.run(t, "ip", "link", "set", "lo", "up")
	// What comes in is dropped, not what goes out: that the sender would be told.
	s.run(t, "nft", `table inet truth {
		set gone { type inet_service; }
		set refused { type inet_service; }
		chain input {
			type filter hook input priority 0;
			tcp dport @gone drop
			tcp sport @gone drop
			tcp dport @refused reject with tcp reset
		}
	}`)
	var err error
	s.cut, err = nftables.New(nftables.WithNetNSFd(int(s.ns)), nftables.AsLasting())
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.cut.CloseLasting() })
	table := &nftables.Table{Name: "truth", Family: nftables.TableFamilyINet}
	s.sets = map[string]*nftables.Set{
		blackHole: {Table: table, Name: "gone", KeyType: nftables.TypeInetService},
		refusal:   {Table: table, Name: "refused", KeyType: nftables.TypeInetService},
	}
	fd, err := unix.MemfdCreate("mood", 0)
	require.NoError(t, err)
	s.mood = os.NewFile(uintptr(fd), "mood")
	require.NoError(t, s.mood.Truncate(moodSize))
	t.Cleanup(func() { _ = s.mood.Close() })
	return s
}

// run runs a command in the namespace.
func (s *stage) run(t *testing.T, name string, args ...string) {
	t.Helper()
	c := exec.Command(name, args...)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	require.NoError(t, s.start(c, 0))
	require.NoError(t, c.Wait(), "%s %v: %s", name, args, &out)
}

// start starts a command in the namespace, from a thread that ends with it. One that goes first, by more than 0,
// gets a processor before any ordinary process.
func (s *stage) start(c *exec.Cmd, first uint32) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := netns.Set(s.ns); err != nil {
			started <- fmt.Errorf("enter the namespace: %w", err)
			return
		}
		if first > 0 {
			err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: first}, 0)
			if errors.Is(err, unix.EPERM) { // as in some containers: the next best
				err = unix.Setpriority(unix.PRIO_PROCESS, 0, -20)
			}
			if err != nil {
				started <- fmt.Errorf("put a process first: %w", err)
				return
			}
		}
		started <- c.Start()
	}()
	return <-started
}

// roleVariable says what a process of this test binary is when it is not the test.
const roleVariable = "DRILL_TRUTH_ROLE"

// play starts this test binary again in another role, and ends it with the test.
func (s *stage) play(t *testing.T, role string, config any, files ...*os.File) *actor {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	in, err := json.Marshal(config)
	require.NoError(t, err)
	a := &actor{cmd: exec.Command(exe)}
	a.cmd.Env = append(os.Environ(), roleVariable+"="+role)
	a.cmd.Stdin, a.cmd.Stdout, a.cmd.Stderr = bytes.NewReader(in), &a.out, os.Stderr
	a.cmd.ExtraFiles = files
	first := uint32(0)
	switch {
	case role == roleServer:
		first = 2 // the truth is that a server answers whenever it is well, however busy the machine is
	case s.calm:
		first = 1
	}
	require.NoError(t, s.start(a.cmd, first))
	t.Cleanup(func() { _ = a.cmd.Process.Kill(); _ = a.wait() })
	return a
}

// actor is a process that plays a role.
type actor struct {
	cmd  *exec.Cmd
	out  bytes.Buffer
	once sync.Once
	err  error
}

func (a *actor) wait() error {
	a.once.Do(func() { a.err = a.cmd.Wait() })
	return a.err
}

// lanes starts the servers: those with a process of their own last.
func (s *stage) lanes(t *testing.T, shared, own int) []*lane {
	t.Helper()
	var all []*lane
	var ports []uint16
	for i := range shared + own {
		l := &lane{number: i, port: uint16(firstPort + i)}
		all = append(all, l)
		if i < shared {
			ports = append(ports, l.port)
			continue
		}
		l.pid = s.play(t, roleServer, []uint16{l.port}, s.mood).cmd.Process.Pid
	}
	if len(ports) > 0 {
		s.play(t, roleServer, ports, s.mood)
	}
	for _, l := range all {
		require.Eventually(t, func() bool { return s.answers(l) }, 10*time.Second, 20*time.Millisecond, "the server at %d", l.port)
	}
	return all
}

// answers reports whether the lane's server accepts a connection.
func (s *stage) answers(l *lane) bool {
	done := make(chan bool, 1)
	go func() {
		runtime.LockOSThread()
		if netns.Set(s.ns) != nil {
			done <- false
			return
		}
		c, err := net.DialTimeout("tcp", l.address(), time.Second)
		if err == nil {
			_ = c.Close()
		}
		done <- err == nil
	}()
	return <-done
}

func (l *lane) address() string { return "127.0.0.1:" + strconv.Itoa(int(l.port)) }

// moment is what the kernel's monotonic clock said before and after a system call.
type moment struct{ before, after int64 }

func kernelNow() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err)
	}
	return ts.Nano()
}

// on is the moment on a prober's clock.
func (m moment) on(base int64) pair {
	return pair{drill.Offset(m.before - base), drill.Offset(m.after - base)}
}

// break_ breaks the lane, and heal mends it. Each is one system call, with the clock read right around it.
func (s *stage) break_(l *lane, sort string) (moment, error) { return s.change(l, sort, true) }
func (s *stage) heal(l *lane, sort string) (moment, error)   { return s.change(l, sort, false) }

func (s *stage) change(l *lane, sort string, broken bool) (m moment, err error) {
	set := s.sets[sort]
	switch {
	case set != nil:
		element := []nftables.SetElement{{Key: binaryutil.BigEndian.PutUint16(l.port)}}
		s.mu.Lock()
		defer s.mu.Unlock()
		if broken {
			err = s.cut.SetAddElements(set, element)
		} else {
			err = s.cut.SetDeleteElements(set, element)
		}
		if err != nil {
			return m, fmt.Errorf("prepare the rules: %w", err)
		}
		m.before = kernelNow()
		err = s.cut.Flush()
		m.after = kernelNow()
	case sort == hang && l.pid != 0:
		signal := unix.SIGCONT
		if broken {
			signal = unix.SIGSTOP
		}
		m.before = kernelNow()
		err = unix.Kill(l.pid, signal)
		m.after = kernelNow()
	default:
		mood := moods[sort]
		if !broken {
			mood = s.usual
		}
		b := binary.NativeEndian.AppendUint32(nil, mood)
		m.before = kernelNow()
		_, err = s.mood.WriteAt(b, int64(4*l.number))
		m.after = kernelNow()
	}
	if err != nil {
		return m, fmt.Errorf("change lane %d, %s %v: %w", l.number, sort, broken, err)
	}
	return m, nil
}
