package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/agent"
	"github.com/failoverdrill/drill/internal/kube"
)

// Revert heals through the agents where this process is connected to them, and shows that every path works again; in any
// case it takes the agents away, which heal as they go.
func (p *partitioner) Revert(ctx context.Context, d Deps, st networkPartitionState) error {
	if len(p.clients) > 0 {
		sure := p.heal(ctx)
		if p.injected {
			p.failed = p.back(ctx, d, st, sure)
			// What could not be seen is no sign of a cut: the agents' kernels show nothing, or they do when the agents are gone.
			if _, unseen := errors.AsType[*unseenError](p.failed); unseen {
				p.failed = nil
			}
		}
		for _, c := range p.clients {
			c.Close()
		}
		p.clients = nil
	}
	if st.Secret != "" { // made by a drill before agents had a namespace of their own
		return errors.Join(kube.RemoveAgentsOf(ctx, d.Kube, agentNames(st), st.Secret), p.failed)
	}
	return errors.Join(kube.RemoveAgents(ctx, d.Kube, agentNames(st)), p.failed)
}

// heal tells every agent to heal, until it says that its kernel shows nothing left, and returns the nodes of those that
// did. A connection that broke while runner or agent stood still costs the first attempt. An agent that answers no more
// has healed, or its kernel has; that its pod goes is shown by Revert.
func (p *partitioner) heal(ctx context.Context) (sure map[string]bool) {
	ctx, cancel := context.WithTimeout(ctx, healedWithin)
	defer cancel()
	sure = map[string]bool{}
	var mu sync.Mutex
	_ = p.each(func(node string, c *agent.Client) error {
		for {
			_, err := c.Heal(ctx)
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				sure[node] = true
				return nil
			}
			if c.Lost() != nil {
				return err
			}
			select {
			case <-time.After(200 * time.Millisecond):
			case <-ctx.Done():
				return err
			}
		}
	})
	return sure
}

// back waits until every path is open again. It is asked over new connections alone: one that was kept may have died
// for many a reason, such as an API server that ends what is idle. That a connection is made is enough, for a cut drops the
// packets of it: whoever is stopped behind it answers nothing, and its kernel does.
func (p *partitioner) back(ctx context.Context, d Deps, st networkPartitionState, sure map[string]bool) error {
	ctx, cancel := context.WithTimeout(ctx, healedWithin)
	defer cancel()
	for {
		left := slices.DeleteFunc(slices.Clone(p.paths), func(one *path) bool {
			return one.through || p.clients[one.node] == nil || p.clients[one.node].Lost() != nil || p.gone(ctx, d, st, one)
		})
		wrong, err := p.try(left, func(one *path, c *agent.Client) (string, error) {
			probe := agent.Path{Pod: one.Pod, To: one.To, Protocol: agent.TCP}
			r, err := c.Reach(ctx, probe, answerWithin)
			// Whose agent died has nobody who listens any more, and says so: that came over the path, too.
			if err != nil || r.OK || r.How == agent.Refused || r.How == agent.Reset {
				return "", err
			}
			// An address that answers nobody is down. That there is no rule of ours at either end, their kernels have said.
			if p.confirmed(st, one, sure) {
				probe.Pod = ""
				if own, err := c.Reach(ctx, probe, answerWithin); err == nil && !own.OK && own.How != agent.Refused && own.How != agent.Reset {
					return "", nil
				}
			}
			return one.unless(false, r), nil
		})
		if err == nil && len(wrong) == 0 {
			return nil
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			if len(wrong) == 0 {
				return &unseenError{err}
			}
			return fmt.Errorf("after the heal, these paths do not work: %s", some(wrong))
		}
	}
}

// unseenError says that no path was found cut, and none could be shown to be open: drill itself could not look.
type unseenError struct{ why error }

func (e *unseenError) Error() string {
	return fmt.Sprintf("after the heal, it could not be seen whether the paths work: %v", e.why)
}
func (e *unseenError) Unwrap() error { return e.why }

// confirmed reports whether the agents at the path's ends have seen in the kernel that no rule of theirs is left.
func (p *partitioner) confirmed(st networkPartitionState, one *path, sure map[string]bool) bool {
	for _, pod := range st.pods() {
		if (pod.UID == one.Pod || p.listeners[pod.UID] == one.To) && !sure[pod.Node] {
			return false
		}
	}
	return true
}

// gone reports whether a pod at either end of the path is not the one that was cut any more.
func (p *partitioner) gone(ctx context.Context, d Deps, st networkPartitionState, one *path) bool {
	for _, pod := range st.pods() {
		if pod.UID != one.Pod && p.listeners[pod.UID] != one.To {
			continue
		}
		// An API server that is stopped answers nothing, and must not use up the time for looking at the paths.
		asked, cancel := context.WithTimeout(ctx, time.Second)
		now, err := d.Kube.CoreV1().Pods(pod.Namespace).Get(asked, pod.Name, metav1.GetOptions{})
		cancel()
		if apierrors.IsNotFound(err) || err == nil && (string(now.UID) != pod.UID || now.DeletionTimestamp != nil || now.Status.PodIP != pod.IPs[0].String()) {
			return true
		}
	}
	return false
}
