package faults

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/agent"
	"github.com/failoverdrill/drill/internal/drill"
)

// How long an attempt to use a path may take.
const (
	answerWithin = 2 * time.Second // while it is open
	silentFor    = time.Second     // while it is cut: silence for so long is the proof
	// healedWithin is how long after a heal every path must work again.
	healedWithin = 15 * time.Second
	// cutMargin is how much longer than planned the agents keep a cut whose runner is alive and does not end it.
	cutMargin = 30 * time.Second
)

// partitioner is one partition. In the runner it is connected to its agents; in any other process it only removes them.
type partitioner struct {
	mu        sync.Mutex
	clients   map[string]*agent.Client // by node
	listeners map[string]netip.AddrPort
	paths     []*path
	injected  bool
	failed    error // the paths did not all come back after the heal
}

// path is a way that must be open before the cut, closed during it, and open again afterwards.
type path struct {
	agent.Path
	node    string
	what    string
	kept    int  // an open connection, for the time of the cut
	through bool // a Service, whose endpoints may change while the cut lasts
	service string
}

// each does something for every client at once.
func (p *partitioner) each(do func(node string, c *agent.Client) error) error {
	p.mu.Lock()
	clients := maps.Clone(p.clients)
	p.mu.Unlock()
	var mu sync.Mutex
	var all []error
	var wg sync.WaitGroup
	for node, c := range clients {
		wg.Go(func() {
			if err := do(node, c); err != nil {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(all...)
}

// try does something with every path at once, and returns what is wrong with each.
func (p *partitioner) try(paths []*path, do func(*path, *agent.Client) (wrong string, err error)) ([]string, error) {
	var mu sync.Mutex
	var wrong []string
	var errs []error
	var wg sync.WaitGroup
	for _, one := range paths {
		wg.Go(func() {
			w, err := do(one, p.clients[one.node])
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
			}
			if w != "" {
				wrong = append(wrong, w)
			}
		})
	}
	wg.Wait()
	slices.Sort(wrong)
	return wrong, errors.Join(errs...)
}

// Recheck makes sure that nobody was replaced and that every path is open, and opens the connections that the cut is to
// silence. A path that is closed already would make a cut look proved that is not.
func (p *partitioner) Recheck(ctx context.Context, d Deps, st networkPartitionState) error {
	if st.Primary != "" {
		now, err := d.primary(ctx, st.Target)
		if err != nil {
			return fmt.Errorf("%w: %w", drill.ErrVictimChanged, err)
		}
		if now.UID != st.Primary {
			return fmt.Errorf("%w: the primary is now %s (uid %s)", drill.ErrVictimChanged, now, now.UID)
		}
	}
	for _, pod := range st.pods() {
		now, err := d.Kube.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("%w: %s: %w", drill.ErrVictimChanged, pod, err)
		}
		if string(now.UID) != pod.UID || now.Status.PodIP != pod.IPs[0].String() {
			return fmt.Errorf("%w: %s was replaced, or has another address", drill.ErrVictimChanged, pod)
		}
	}
	if err := p.each(func(_ string, c *agent.Client) error { return c.Lost() }); err != nil {
		return err
	}
	services, err := p.services(ctx, d, st)
	if err != nil {
		return err
	}
	p.paths = append(slices.DeleteFunc(p.paths, func(one *path) bool { return one.through }), services...)
	wrong, err := p.try(p.paths, func(one *path, c *agent.Client) (string, error) { return one.open(ctx, c) })
	if err != nil {
		return err
	}
	if len(wrong) > 0 {
		return &drill.Refusal{Code: "path_closed", Text: "before the cut, " + some(wrong)}
	}
	return nil
}

// open makes the connection of a path that the cut is to silence; a Service's is only tried.
func (one *path) open(ctx context.Context, c *agent.Client) (string, error) {
	if one.through {
		r, err := c.Reach(ctx, one.Path, answerWithin)
		return one.unless(r.OK, r), err
	}
	r, err := c.Open(ctx, one.Path, answerWithin)
	if err == nil && r.OK {
		one.kept = r.Kept
	}
	return one.unless(r.OK, r), err
}

// some joins what is wrong with paths, and no more of them than somebody reads.
func some(wrong []string) string {
	const most = 10
	if more := len(wrong) - most; more > 0 {
		return fmt.Sprintf("%s; and %d more", strings.Join(wrong[:most], "; "), more)
	}
	return strings.Join(wrong, "; ")
}

func (one *path) unless(fine bool, r agent.Reach) string {
	if fine {
		return ""
	}
	return fmt.Sprintf("%s: %s", one.what, r.How)
}

func (p *partitioner) Inject(ctx context.Context, _ Deps, st networkPartitionState) error {
	byNode := map[string]map[string]agent.Cut{}
	put := func(pods, others []partitionedPod, api []netip.AddrPort, in, out bool) {
		for _, pod := range pods {
			cut := agent.Cut{Endpoints: api, In: in, Out: out}
			for _, other := range others {
				cut.Peers = append(cut.Peers, other.IPs...)
			}
			if byNode[pod.Node] == nil {
				byNode[pod.Node] = map[string]agent.Cut{}
			}
			byNode[pod.Node][pod.UID] = cut
		}
	}
	in, out := st.Direction != directionOut, st.Direction != directionIn
	p.injected = true // from here on, whatever comes of it
	// At both ends: what goes to a ClusterIP becomes recognisable only where it arrives.
	put(st.From, st.To, st.API, in, out)
	put(st.To, st.From, nil, out, in)
	return p.each(func(node string, c *agent.Client) error { return c.Cut(ctx, byNode[node], st.hold()+cutMargin) })
}

// Confirm shows that nothing new gets through, and that what was open has fallen silent.
func (p *partitioner) Confirm(ctx context.Context, _ Deps, _ networkPartitionState) (string, error) {
	opened := 0
	wrong, err := p.try(p.paths, func(one *path, c *agent.Client) (string, error) {
		r, err := c.Reach(ctx, one.Path, silentFor)
		if err != nil || r.How != agent.Timeout || one.through {
			return one.unless(r.How == agent.Timeout, r), err
		}
		r, err = c.Echo(ctx, one.kept, silentFor)
		return one.unless(r.How == agent.Timeout, r), err
	})
	for _, one := range p.paths {
		if !one.through {
			opened++
		}
	}
	if err != nil {
		return "", errors.Join(drill.ErrNotConfirmed, err)
	}
	if len(wrong) > 0 {
		return "", fmt.Errorf("%w: in spite of the cut, %s", drill.ErrNotConfirmed, some(wrong))
	}
	sum, err := p.standing(ctx)
	if err != nil {
		return "", err
	}
	if sum.In+sum.Out == 0 {
		return "", fmt.Errorf("%w: the rules have not dropped a single packet", drill.ErrNotConfirmed)
	}
	return fmt.Sprintf("new connections on %d paths timed out and %d open ones fell silent; packets dropped by then: %d arriving, %d leaving",
		len(p.paths), opened, sum.In, sum.Out), nil
}

// Held shows that the cut is still there and never was not: the agents would have found a rule that ran out.
func (p *partitioner) Held(ctx context.Context, _ Deps, _ networkPartitionState) error {
	_, err := p.standing(ctx)
	return err
}

// Broken shows, while the cut lasts, that it does not: by what the heartbeats have brought.
func (p *partitioner) Broken() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for node, c := range p.clients {
		if err := c.Broken(); err != nil {
			return fmt.Errorf("%w: the cut on node %s did not last: %w", drill.ErrNotConfirmed, node, err)
		}
	}
	return nil
}

// standing asks every agent how its cuts stand, and sums up what they dropped.
func (p *partitioner) standing(ctx context.Context) (agent.Counters, error) {
	var mu sync.Mutex
	var sum agent.Counters
	err := p.each(func(node string, c *agent.Client) error {
		s, err := c.Status(ctx)
		if err == nil && (!s.Cut || s.Broken != "") {
			err = fmt.Errorf("the cut on node %s did not last: %s", node, s.Broken)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, n := range s.Counters {
			sum.In += n.In
			sum.Out += n.Out
		}
		return err
	})
	if err != nil {
		return sum, errors.Join(drill.ErrNotConfirmed, err)
	}
	return sum, nil
}
