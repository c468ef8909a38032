package agent

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// namespace is the network namespace of one pod, held open: it stays the same one whatever becomes of the processes
// in it.
type namespace struct{ file *os.File }

func (n namespace) fd() int      { return int(n.file.Fd()) }
func (n namespace) close() error { return n.file.Close() }

// openNamespace opens the network namespace at a path such as /proc/1234/ns/net.
func openNamespace(path string) (namespace, error) {
	f, err := os.Open(path)
	if err != nil {
		return namespace{}, fmt.Errorf("open a network namespace: %w", err)
	}
	return namespace{f}, nil
}

// same reports whether both are one namespace.
func (n namespace) same(path string) (bool, error) {
	var a, b unix.Stat_t
	if err := unix.Fstat(n.fd(), &a); err != nil {
		return false, fmt.Errorf("stat a network namespace: %w", err)
	}
	if err := unix.Stat(path, &b); err != nil {
		return false, fmt.Errorf("stat %s: %w", path, err)
	}
	return a.Dev == b.Dev && a.Ino == b.Ino, nil
}

// do calls f on a thread that is in the namespace. Sockets that f makes stay in it. Without a namespace, f is called in
// the agent's own.
func (n namespace) do(f func() error) error {
	if n.file == nil {
		return f()
	}
	done := make(chan error, 1)
	go func() {
		// A thread that cannot be brought back is not unlocked, and ends with this goroutine.
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			done <- fmt.Errorf("open our own network namespace: %w", err)
			return
		}
		defer home.Close()
		if err := unix.Setns(n.fd(), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter the network namespace: %w", err)
			return
		}
		err = f()
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// has reports whether one of the namespace's interfaces has the address.
func (n namespace) has(ip netip.Addr) (bool, error) {
	found := false
	err := n.do(func() error {
		all, err := net.InterfaceAddrs()
		if err != nil {
			return fmt.Errorf("list the addresses: %w", err)
		}
		for _, a := range all {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr() == ip {
				found = true
			}
		}
		return nil
	})
	return found, err
}

// errNoProcess means that no process of a container was found on this node.
var errNoProcess = errors.New("no process of its containers is on this node")

// findNamespace finds the network namespace of a pod by its containers' ids, and makes sure that it is the pod's own:
// not the node's, and with the pod's address in it.
func findNamespace(proc string, containers []string, ip netip.Addr) (namespace, error) {
	pid, err := findProcess(proc, containers)
	if err != nil {
		return namespace{}, err
	}
	n, err := openNamespace(filepath.Join(proc, strconv.Itoa(pid), "ns/net"))
	if err != nil {
		return namespace{}, err
	}
	err = func() error {
		host, err := n.same(filepath.Join(proc, "1/ns/net"))
		if err != nil {
			return err
		}
		if host {
			return errors.New("it uses the node's network: cutting it would cut the node")
		}
		own, err := n.has(ip)
		if err != nil {
			return err
		}
		if !own {
			return fmt.Errorf("process %d is in a network namespace without the pod's address %s", pid, ip)
		}
		return nil
	}()
	if err != nil {
		_ = n.close()
		return namespace{}, err
	}
	return n, nil
}

// findProcess finds a process of one of the containers by the id in its cgroup's name, which looks like
// cri-containerd-ID.scope or …/ID, on both versions of cgroups.
func findProcess(proc string, containers []string) (int, error) {
	ids := slices.DeleteFunc(slices.Clone(containers), func(id string) bool { return len(id) < 32 })
	entries, err := os.ReadDir(proc)
	if err != nil {
		return 0, fmt.Errorf("list the processes: %w", err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		cgroup, err := os.ReadFile(filepath.Join(proc, e.Name(), "cgroup"))
		if err != nil {
			continue // it ended meanwhile
		}
		if slices.ContainsFunc(ids, func(id string) bool { return bytes.Contains(cgroup, []byte(id)) }) {
			return pid, nil
		}
	}
	return 0, errNoProcess
}
