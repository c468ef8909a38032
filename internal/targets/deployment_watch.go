package targets

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/failoverdrill/drill/internal/drill"
)

// desiredEvery is how often the controllers are asked how many pods there should be: an autoscaler may change it.
const desiredEvery = time.Second

// readiness is who can serve, by what was read last.
func (t *stateless) readiness() drill.Readiness {
	members := t.members()
	t.mu.Lock()
	defer t.mu.Unlock()
	r := drill.Readiness{Target: t.name, Desired: t.desired, Ready: []drill.Member{}, Endpoints: []drill.Member{}}
	for _, pod := range members {
		if isReady(pod) {
			r.Ready = append(r.Ready, alike(pod))
		}
	}
	for _, s := range t.slices {
		for _, e := range s.Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				r.Endpoints = append(r.Endpoints, t.led(e))
			}
		}
	}
	slices.SortFunc(r.Endpoints, func(a, b drill.Member) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.UID, b.UID))
	})
	// A dual-stack Service has a slice per family.
	r.Endpoints = slices.CompactFunc(r.Endpoints, func(a, b drill.Member) bool { return a.Name == b.Name && a.UID == b.UID })
	for _, name := range slices.Sorted(maps.Keys(t.budgets)) {
		if covers := covered(t.budgets[name], members); covers > 0 {
			r.Budgets = append(r.Budgets, drill.Budget{Name: name, Rule: rule(t.budgets[name]),
				Allowed: int(t.budgets[name].Status.DisruptionsAllowed), Covers: covers})
		}
	}
	return r
}

// Serving is who could serve when the target was looked at last; for plans.
func (t *stateless) Serving() drill.Readiness { return t.readiness() }

// led is the member that an endpoint leads to; its address stands for one that is no pod's.
func (t *stateless) led(e discoveryv1.Endpoint) drill.Member {
	m := drill.Member{Namespace: t.spec.Namespace, Name: strings.Join(e.Addresses, ","), Role: drill.RoleUnknown}
	if e.NodeName != nil {
		m.Node = *e.NodeName
	}
	if e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
		m.Name, m.UID = e.TargetRef.Name, string(e.TargetRef.UID)
	}
	return m
}

// covered is how many of the pods a budget selects. One without a selector selects none, and an empty one all.
func covered(b *policyv1.PodDisruptionBudget, pods []*corev1.Pod) int {
	selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
	if err != nil {
		return 0
	}
	n := 0
	for _, p := range pods {
		if selector.Matches(labels.Set(p.Labels)) {
			n++
		}
	}
	return n
}

func (t *stateless) poke() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// WatchMembers reports who can serve, at once and on every change.
func (t *stateless) WatchMembers(ctx context.Context, changed func(drill.Readiness)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var followers sync.WaitGroup
	defer followers.Wait()
	defer cancel(nil)
	ns := t.spec.Namespace
	followers.Go(func() {
		follow(ctx, podsOf(t.Kube, ns, t.spec.Selector.String(), func(all map[string]*corev1.Pod) { t.setPods(all); t.poke() }), t.Log, cancel)
	})
	followers.Go(func() {
		follow(ctx, slicesOf(t.Kube, ns, t.spec.Service, func(all map[string]*discoveryv1.EndpointSlice) { t.setSlices(all); t.poke() }), t.Log, cancel)
	})
	followers.Go(func() {
		follow(ctx, budgetsOf(t.Kube, ns, func(all map[string]*policyv1.PodDisruptionBudget) { t.setBudgets(all); t.poke() }), t.Log, cancel)
	})
	followers.Go(func() { t.followDesired(ctx) })

	last := t.readiness()
	changed(last)
	for {
		select {
		case <-ctx.Done():
			if err := context.Cause(ctx); apierrors.IsForbidden(err) {
				return fmt.Errorf("watch target %q: %w", t.name, err)
			}
			return nil
		case <-t.wake:
		}
		if now := t.readiness(); !reflect.DeepEqual(now, last) {
			last = now
			changed(now)
		}
	}
}

// followDesired keeps the desired number up to date. While it cannot be read, the last one holds.
func (t *stateless) followDesired(ctx context.Context) {
	for ctx.Err() == nil {
		pause(ctx, desiredEvery)
		if err := t.countDesired(ctx); err != nil && ctx.Err() == nil {
			t.Log.Debug("count the desired pods", zap.Error(err))
		}
		t.poke()
	}
}
