package targets

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/probes"
	"github.com/failoverdrill/drill/test/postgres"
)

// lab is a real PostgreSQL pair, described by a fake API server.
type lab struct {
	t    testing.TB
	pair *postgres.Pair
	kube *fake.Clientset
	dsn  string
}

func newLab(t testing.TB) *lab {
	t.Helper()
	l := &lab{t: t, pair: postgres.Start(t), kube: fake.NewClientset()}
	l.dsn = l.pair.DSN()
	ctx := t.Context()
	_, err := l.kube.CoreV1().Namespaces().Create(ctx,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	l.pod(l.pair.First, "master", "uid-0")
	l.pod(l.pair.Second, "replica", "uid-1")
	_, err = l.kube.DiscoveryV1().EndpointSlices("shop").Create(ctx, l.endpoints(l.pair.First), metav1.CreateOptions{})
	require.NoError(t, err)
	return l
}

// pod makes or replaces the pod of a server.
func (l *lab) pod(s *postgres.Server, role, uid string) {
	l.t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: s.Name, UID: types.UID(uid), Labels: map[string]string{"app": "orders", "role": role},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: s.IP},
	}
	pods := l.kube.CoreV1().Pods("shop")
	if _, err := pods.Get(l.t.Context(), s.Name, metav1.GetOptions{}); err == nil {
		_, err = pods.Update(l.t.Context(), pod, metav1.UpdateOptions{})
		require.NoError(l.t, err)
		return
	}
	_, err := pods.Create(l.t.Context(), pod, metav1.CreateOptions{})
	require.NoError(l.t, err)
}

func (l *lab) endpoints(s *postgres.Server) *discoveryv1.EndpointSlice {
	ready := true
	port := int32(l.pair.Port)
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "orders-abc", Labels: map[string]string{discoveryv1.LabelServiceName: "orders"},
		},
		Ports: []discoveryv1.EndpointPort{{Port: &port}},
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{s.IP}, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: s.Name},
		}},
	}
}

// lead tells the API server who is the primary, as an operator would.
func (l *lab) lead(now, before *postgres.Server, uids ...string) {
	l.t.Helper()
	l.pod(now, "master", uids[0])
	l.pod(before, "replica", uids[1])
	_, err := l.kube.DiscoveryV1().EndpointSlices("shop").Update(l.t.Context(), l.endpoints(now), metav1.UpdateOptions{})
	require.NoError(l.t, err)
}

// target makes a target of the lab; change may alter its spec.
func (l *lab) target(change ...func(*postgresqlSpec)) *postgreSQL {
	l.t.Helper()
	selector, err := labels.Parse("app=orders")
	require.NoError(l.t, err)
	spec := postgresqlSpec{
		Namespace: "shop", Selector: selector, Service: "orders", WriteRate: 50,
		DSN: drill.Sensitive(drill.SecretRef(drill.SecretKey{Name: "orders-app", Key: "uri"})),
	}
	for _, c := range change {
		c(&spec)
	}
	target := bindPostgreSQL(Deps{
		Run: "run-" + strings.ReplaceAll(l.t.Name(), "/", "-"), Kube: l.kube, Log: zaptest.NewLogger(l.t),
		Secret: func(_ context.Context, namespace, name, key string) (string, error) {
			if namespace != "shop" || name != "orders-app" || key != "uri" {
				return "", fmt.Errorf("no secret %s/%s %s", namespace, name, key)
			}
			return l.dsn, nil
		},
	}, "orders", spec).(*postgreSQL)
	l.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		_ = target.Close(ctx)
	})
	return target
}

func (l *lab) open(target *postgreSQL) []drill.Member {
	l.t.Helper()
	members, err := target.Open(l.t.Context())
	require.NoError(l.t, err)
	return members
}

// recorder samples and watches a target in the background.
type recorder struct {
	clock drill.Clock
	stop  func()

	mu      sync.Mutex
	samples []drill.Sample
	views   []drill.Views
	viewed  []drill.Offset // when
}

func record(t *testing.T, target *postgreSQL) *recorder {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &recorder{clock: drill.StartClock()}
	var wg sync.WaitGroup
	wg.Go(func() {
		probes.Sample(ctx, drill.Sampling{Clock: r.clock, Probes: target.Probes(), Sample: func(s drill.Sample) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.samples = append(r.samples, s)
		}})
	})
	wg.Go(func() {
		err := target.Watch(ctx, func(v drill.Views) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.views, r.viewed = append(r.views, v), append(r.viewed, r.clock.Now())
		})
		if err != nil {
			t.Error(err)
		}
	})
	var once sync.Once
	r.stop = func() { once.Do(func() { cancel(); wg.Wait() }) }
	t.Cleanup(r.stop)
	return r
}

// of returns a probe's samples between two moments, by slot.
func (r *recorder) of(probe string, from, to drill.Offset) []drill.Sample {
	r.mu.Lock()
	defer r.mu.Unlock()
	var some []drill.Sample
	for _, s := range r.samples {
		if s.Probe == probe && s.Scheduled >= from && (to == 0 || s.Scheduled < to) {
			some = append(some, s)
		}
	}
	slices.SortFunc(some, func(a, b drill.Sample) int { return int(a.Slot - b.Slot) })
	return some
}

func (r *recorder) lastViews() drill.Views {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.views) == 0 {
		return drill.Views{}
	}
	return r.views[len(r.views)-1]
}

func count(samples []drill.Sample) map[string]int {
	n := map[string]int{}
	for _, s := range samples {
		n[strings.TrimSpace(string(s.Outcome)+" "+s.Signal)]++
	}
	return n
}

// acked are the sequence numbers of acknowledged writes.
func acked(samples []drill.Sample) []int64 {
	var seqs []int64
	for _, s := range samples {
		if s.Outcome == drill.OutcomeOK && s.Write {
			seqs = append(seqs, s.Slot)
		}
	}
	return seqs
}

// seen are the sequence numbers of the pooled stream that a member reported.
func seen(samples []drill.Sample) []int64 {
	var seqs []int64
	for _, s := range samples {
		if s.Reading != nil {
			seqs = append(seqs, s.Reading.Seen...)
		}
	}
	slices.Sort(seqs)
	return seqs
}

func numbers(n drill.Numbers) []int64 { return slices.Collect(n.All()) }
