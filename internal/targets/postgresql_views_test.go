package targets

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/test/bubble"
)

func podAt(name, ip, role string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"role": role}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip},
	}
}

func newCluster(pods ...*corev1.Pod) *cluster {
	c := &cluster{target: "orders", roles: presets()[3], byIP: map[netip.Addr]instance{}, wake: make(chan struct{}, 1)}
	all := map[string]*corev1.Pod{}
	for _, p := range pods {
		all[p.Name] = p
	}
	c.setPods(all)
	return c
}

func endpoint(ready *bool, addresses ...string) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{Addresses: addresses, Conditions: discoveryv1.EndpointConditions{Ready: ready}}
}

func TestViews(t *testing.T) {
	c := newCluster(podAt("orders-0", "10.0.0.1", "master"), podAt("orders-1", "fd00::2", "primary"))
	unready := false
	c.setSlices(map[string]*discoveryv1.EndpointSlice{
		"a": {Endpoints: []discoveryv1.Endpoint{endpoint(nil, "10.0.0.1"), endpoint(&unready, "fd00::2")}},
		"b": {Endpoints: []discoveryv1.Endpoint{endpoint(nil, "10.0.0.1"), endpoint(nil, "10.9.9.9")}},
	})
	v := c.views([]string{"orders-1"})
	assert.Equal(t, []string{"orders-0", "orders-1"}, v.Label, "a frozen primary keeps its label")
	assert.Equal(t, []string{"[10.9.9.9]", "orders-0"}, v.Service, "an address that no member has is named, not hidden")
	assert.Equal(t, []string{"orders-1"}, v.Member)
	assert.False(t, v.Agree())
}

func TestMemberAtRemembersOldAddresses(t *testing.T) {
	c := newCluster(podAt("orders-0", "10.0.0.1", "master"))
	c.setPods(map[string]*corev1.Pod{"orders-0": podAt("orders-0", "10.0.0.7", "master")})
	assert.Equal(t, "orders-0", c.memberAt("10.0.0.1").name, "the old pod may still answer")
	assert.Equal(t, "orders-0", c.memberAt("::ffff:10.0.0.7").name)
	assert.Equal(t, "10.0.0.9", c.memberAt("10.0.0.9").name)
	assert.Empty(t, c.memberAt("").name)
}

func TestMembersAreNotTheJobsOfAnOperator(t *testing.T) {
	job := podAt("orders-1-initdb", "10.0.0.3", "")
	job.Status.Phase = corev1.PodSucceeded
	c := newCluster(podAt("orders-1", "10.0.0.1", "master"), job)
	require.Len(t, c.members(), 1)
	assert.Equal(t, "orders-1", c.members()[0].Name)
}

func TestPortIsTheServicesTarget(t *testing.T) {
	c := newCluster()
	assert.EqualValues(t, 5432, c.port(5432))
	one, two := int32(5433), int32(8008)
	c.setSlices(map[string]*discoveryv1.EndpointSlice{"a": {Ports: []discoveryv1.EndpointPort{{Port: &one}}}})
	assert.EqualValues(t, 5433, c.port(5432))
	c.setSlices(map[string]*discoveryv1.EndpointSlice{"a": {Ports: []discoveryv1.EndpointPort{{Port: &one}, {Port: &two}}}})
	assert.EqualValues(t, 5432, c.port(5432))
}

// pods is a source whose lists and watches the test makes up.
func pods(lists chan []*corev1.Pod, watches chan watch.Interface, applied chan map[string]*corev1.Pod, err *error) source[*corev1.Pod] {
	return source[*corev1.Pod]{
		what: "pods",
		list: func(context.Context, metav1.ListOptions) ([]*corev1.Pod, string, error) {
			if *err != nil {
				return nil, "", *err
			}
			return <-lists, "1", nil
		},
		watch: func(context.Context, metav1.ListOptions) (watch.Interface, error) { return <-watches, nil },
		apply: func(all map[string]*corev1.Pod) { applied <- all },
	}
}

func TestFollowListsAgainWhenTheWatchCloses(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		lists, watches := make(chan []*corev1.Pod, 2), make(chan watch.Interface, 2)
		applied := make(chan map[string]*corev1.Pod, 10)
		first, second := watch.NewFake(), watch.NewFake()
		lists <- []*corev1.Pod{podAt("a", "10.0.0.1", "master")}
		lists <- []*corev1.Pod{podAt("b", "10.0.0.2", "master")}
		watches <- first
		watches <- second
		var failure error
		done := make(chan struct{})
		go func() {
			defer close(done)
			follow(ctx, pods(lists, watches, applied, &failure), zap.NewNop(), cancel)
		}()

		assert.Contains(t, <-applied, "a")
		first.Add(podAt("c", "10.0.0.3", "replica"))
		assert.Len(t, <-applied, 2)
		first.Delete(podAt("a", "10.0.0.1", "master"))
		assert.NotContains(t, <-applied, "a")
		first.Stop() // as the API server does every few minutes
		again := <-applied
		assert.Len(t, again, 1)
		assert.Contains(t, again, "b", "what happened in between is not missed")

		failure = apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", nil)
		second.Stop()
		<-done
		assert.True(t, apierrors.IsForbidden(context.Cause(ctx)), "a right that was taken away ends it")
	})
}

func TestWordOfAMemberRunsOut(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p := newPinned(&postgreSQL{spec: postgresqlSpec{WriteRate: 50}}, "orders-0")
		p.said = drill.RolePrimary
		time.Sleep(time.Hour)
		assert.Equal(t, drill.RolePrimary, p.role(time.Now()), "nobody has asked")
		p.since = time.Now()
		time.Sleep(time.Second)
		assert.Equal(t, drill.RolePrimary, p.role(time.Now()))
		time.Sleep(time.Millisecond)
		assert.Equal(t, drill.RoleUnknown, p.role(time.Now()))
	})
}
