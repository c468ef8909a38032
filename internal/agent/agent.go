// Package agent is what runs on a node for a fault that needs it: it cuts pods' networks, and heals them by itself when
// its runner is silent, when its time is up, and, through the kernel, when it dies or hangs.
package agent

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Agent acts on the pods of one node for one run.
type Agent struct {
	run  string
	proc string // where the node's processes are seen
	ttl  time.Duration
	log  *zap.Logger
	hall *queue    // the connections of the runner
	own  namespace // this process's own network

	mu         sync.Mutex // guards all below
	generation int64      // the newest that was heard; an older runner is refused
	heard      time.Time  // when the runner spoke last
	pods       map[string]pod
	walls      map[string]*wall
	until      time.Time // when the cuts are healed at the latest
	broken     string
	paths      paths
}

// pod is a pod whose network namespace is held open.
type pod struct {
	Pod
	namespace
}

// Options are what an agent works with.
type Options struct {
	Run        string
	Generation int64 // that the run had when the agent was made
	TTL        time.Duration
	Proc       string // where the node's processes are seen; /proc when empty
	Log        *zap.Logger
}

// New makes an agent that has touched nothing.
func New(o Options) *Agent {
	if o.TTL == 0 {
		o.TTL = TTL
	}
	if o.Proc == "" {
		o.Proc = "/proc"
	}
	// Opened before any thread is elsewhere. Without it, what is asked from here is asked on whatever thread there is.
	own, err := openNamespace(filepath.Join(o.Proc, "self/ns/net"))
	if err != nil {
		o.Log.Warn("our own network namespace cannot be opened", zap.Error(err))
	}
	return &Agent{run: o.Run, generation: o.Generation, ttl: o.TTL, proc: o.Proc, log: o.Log, own: own,
		pods: map[string]pod{}, walls: map[string]*wall{}}
}

// hear takes note that the runner is alive, and refuses any other.
func (a *Agent) hear(run string, generation int64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case run != a.run:
		return fmt.Errorf("this agent works for run %s, not for %s", a.run, run)
	case generation < a.generation:
		return fmt.Errorf("generation %d of run %s has been superseded by %d", generation, run, a.generation)
	}
	a.generation, a.heard = generation, time.Now()
	return nil
}

// prepare finds the pods' network namespaces. It may be repeated.
func (a *Agent) prepare(pods []Pod) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range pods {
		if _, known := a.pods[p.UID]; known {
			continue
		}
		n, err := findNamespace(a.proc, p.Containers, p.IP)
		if err != nil {
			return fmt.Errorf("find the network namespace of pod %s: %w", p.UID, err)
		}
		a.pods[p.UID] = pod{p, n}
	}
	return nil
}

func (a *Agent) pod(uid string) (pod, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p, ok := a.pods[uid]
	if !ok {
		return p, fmt.Errorf("pod %s was not prepared", uid)
	}
	return p, nil
}

// cut puts every cut in place, or none.
func (a *Agent) cut(args cutArgs) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.walls) > 0 {
		return errors.New("something is cut already")
	}
	a.broken = ""
	a.until = time.Now().Add(args.For)
	for uid, cut := range args.Cuts {
		p, ok := a.pods[uid]
		if !ok {
			return errors.Join(fmt.Errorf("pod %s was not prepared", uid), a.healLocked())
		}
		w, err := raise(p.fd(), cut, a.left(time.Now()))
		if err != nil {
			return errors.Join(fmt.Errorf("cut pod %s: %w", uid, err), a.healLocked())
		}
		a.walls[uid] = w
	}
	return nil
}

// heal takes every cut away. It may be repeated.
func (a *Agent) heal() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.healLocked()
}

func (a *Agent) healLocked() error {
	var all []error
	for uid, w := range a.walls {
		if err := w.remove(); err != nil {
			all = append(all, fmt.Errorf("heal pod %s: %w", uid, err))
			continue
		}
		delete(a.walls, uid)
	}
	return errors.Join(all...)
}

// left is how long a cut may last from now on: until the runner has been silent for a TTL, and never past its time.
// The kernel is told the same, so that it is no later when this process hangs.
func (a *Agent) left(now time.Time) time.Duration {
	return min(a.heard.Add(a.ttl).Sub(now), a.until.Sub(now))
}

// tend refreshes what is cut, and heals it when it has to end.
func (a *Agent) tend() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.walls) == 0 {
		return
	}
	now := time.Now()
	left := a.left(now)
	switch {
	case left >= time.Millisecond: // the kernel counts in them
	case now.Before(a.until):
		a.breakOff(fmt.Sprintf("the runner was silent for %s", now.Sub(a.heard).Round(time.Millisecond)))
		return
	default:
		a.breakOff("its time was up before the runner healed it")
		return
	}
	for uid, w := range a.walls {
		if err := w.refresh(left); err != nil {
			a.breakOff(fmt.Sprintf("pod %s: %v", uid, err))
			return
		}
	}
}

// breakOff heals everything, because a cut with a hole proves nothing.
func (a *Agent) breakOff(why string) {
	if a.broken == "" {
		a.broken = why
	}
	err := a.healLocked()
	a.log.Warn("healed without being told to", zap.String("why", why), zap.Error(err))
}

// tendEvery is how often the rules are refreshed.
func (a *Agent) tendEvery() time.Duration { return a.ttl / 5 }

// status is how the cuts stand, by what the kernel shows.
func (a *Agent) status() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := Status{Cut: len(a.walls) > 0, Broken: a.broken, Counters: map[string]Counters{}}
	for uid, w := range a.walls {
		c, err := w.counters()
		if err != nil {
			s.Cut, s.Broken = false, strings.TrimSpace(s.Broken+" "+err.Error())
		}
		s.Counters[uid] = c
	}
	return s
}

// listen starts an echo at the pod's address.
func (a *Agent) listen(uid string) (netip.AddrPort, error) {
	p, err := a.pod(uid)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return a.paths.listen(p)
}

// Close heals everything and lets go of the pods.
func (a *Agent) Close() error {
	a.paths.close()
	a.mu.Lock()
	defer a.mu.Unlock()
	err := a.healLocked()
	for _, p := range a.pods {
		_ = p.close()
	}
	a.pods = map[string]pod{}
	if a.own.file != nil {
		_ = a.own.close()
	}
	return err
}
