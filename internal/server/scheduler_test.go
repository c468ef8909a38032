package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/schedule"
	"github.com/failoverdrill/drill/test/bubble"
)

// apiServer is what outlives the servers: the book, whose versions it enforces, and the records.
type apiServer struct {
	mu      sync.Mutex
	book    *corev1.ConfigMap
	hold    *corev1.ConfigMap // nil while there is none
	version int
	records map[string]*unstructured.Unstructured
	made    map[string]int // how often each record was made
}

func newAPIServer() *apiServer {
	return &apiServer{records: map[string]*unstructured.Unstructured{}, made: map[string]int{}}
}

func (s *apiServer) deleteRecords() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.records)
}

// do carries out one request.
func (s *apiServer) do(action clienttesting.Action) (runtime.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	resource := action.GetResource().GroupResource()
	notFound := func(name string) error { return apierrors.NewNotFound(resource, name) }
	switch a := action.(type) {
	case clienttesting.GetActionImpl:
		if resource.Resource == "configmaps" && a.Name == kube.HoldName {
			if s.hold == nil {
				return nil, notFound(a.Name)
			}
			return s.hold.DeepCopy(), nil
		}
		if resource.Resource == "configmaps" && s.book != nil {
			return s.book.DeepCopy(), nil
		}
		if record, ok := s.records[a.Name]; ok {
			return record.DeepCopy(), nil
		}
		return nil, notFound(a.Name)
	case clienttesting.ListActionImpl:
		list := &unstructured.UnstructuredList{Object: map[string]any{
			"apiVersion": kube.Resource.GroupVersion().String(), "kind": "DrillRunList"}}
		for _, record := range s.records {
			list.Items = append(list.Items, *record.DeepCopy())
		}
		return list, nil
	case clienttesting.CreateActionImpl: // before the update's, which is its interface's twin
		if record, ok := a.Object.(*unstructured.Unstructured); ok {
			if _, there := s.records[record.GetName()]; there {
				return nil, apierrors.NewAlreadyExists(resource, record.GetName())
			}
			s.made[record.GetName()]++
			s.records[record.GetName()] = record.DeepCopy()
			return record.DeepCopy(), nil
		}
		if s.book != nil {
			return nil, apierrors.NewAlreadyExists(resource, s.book.Name)
		}
		return s.save(a.Object.(*corev1.ConfigMap)), nil
	case clienttesting.UpdateActionImpl:
		book := a.Object.(*corev1.ConfigMap)
		if s.book == nil || book.ResourceVersion != s.book.ResourceVersion {
			return nil, apierrors.NewConflict(resource, book.Name, errors.New("the object has been modified"))
		}
		return s.save(book), nil
	}
	return nil, fmt.Errorf("unexpected request: %#v", action)
}

func (s *apiServer) save(book *corev1.ConfigMap) *corev1.ConfigMap {
	s.version++
	s.book = book.DeepCopy()
	s.book.ResourceVersion = strconv.Itoa(s.version)
	return s.book.DeepCopy()
}

func (s *apiServer) entry(t *testing.T) schedule.Entry {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	book := new(schedule.Book)
	require.NoError(t, json.Unmarshal([]byte(s.book.Data["state.json"]), book))
	require.Len(t, book.Entries, 1)
	return book.Entries[0]
}

// leader is a scheduler whose requests pass through a function that may hold them up or lose them.
type leader struct {
	*scheduler
	requests []string
}

type doer func(clienttesting.Action) (runtime.Object, error)

// lead makes a server. Around each request, the n-th, it calls through; nil changes nothing.
func (s *apiServer) lead(through func(n int, action clienttesting.Action, do doer) (runtime.Object, error)) *leader {
	l := &leader{}
	react := func(a clienttesting.Action) (bool, runtime.Object, error) {
		if get, ok := a.(clienttesting.GetActionImpl); ok && get.Name == kube.HoldName { // it changes nothing, and is always answered here
			o, err := s.do(a)
			return true, o, err
		}
		l.requests = append(l.requests, a.GetVerb()+" "+a.GetResource().Resource)
		if through == nil {
			o, err := s.do(a)
			return true, o, err
		}
		o, err := through(len(l.requests), a, s.do)
		return true, o, err
	}
	api := fake.NewClientset()
	api.PrependReactor("*", "*", react)
	dyn := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{kube.Resource: "DrillRunList"})
	dyn.PrependReactor("*", "*", react)
	hourly := &drill.Schedule{Cron: "0 * * * *", Timezone: "UTC", Missed: drill.MissedRunLate}
	l.scheduler = newScheduler(Options{Client: &kube.Client{Interface: api, Dynamic: dyn, Metadata: metaOf{dyn}}, Namespace: ns, Log: zap.NewNop(),
		Drills: func(Source) ([]ScheduledDrill, kube.Inputs, error) {
			return []ScheduledDrill{{Name: "d", Schedule: hourly}}, kube.Inputs{}, nil
		}})
	l.cache = cache.NewStore(cache.MetaNamespaceKeyFunc)
	_ = l.cache.Add(&corev1.ConfigMap{Data: map[string]string{"a.hcl": "d"}, ObjectMeta: metav1.ObjectMeta{
		Name: "a", Namespace: ns, Annotations: map[string]string{kube.AnnotationUser: "alice"}}})
	return l
}

// serve passes for a while, as run does.
func (l *leader) serve(t *testing.T, d time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		again, err := l.pass(t.Context())
		require.NoError(t, err)
		time.Sleep(max(again, time.Millisecond))
	}
}

var errKilled = errors.New("killed")

// The requests of the pass in which a run is due.
var duePass = []string{"get configmaps", "list drillruns", "update configmaps", "create drillruns", "update configmaps"}

// until lets time go by until a run is due.
func (s *apiServer) until(t *testing.T) {
	t.Helper()
	s.lead(nil).serve(t, time.Minute) // the schedule is known from 00:00:00 on
	time.Sleep(59*time.Minute + time.Second)
}

// TestADueTimeRunsAtMostOnceWhereverItsLeaderDies: a leader dies before or after each of its requests, the records are
// deleted, and the next leader goes on. Each due time has one run, or is counted as missed with a reason.
func TestADueTimeRunsAtMostOnceWhereverItsLeaderDies(t *testing.T) {
	for n := 1; n <= len(duePass)+1; n++ {
		for _, carriedOut := range []bool{false, true} {
			for _, deleted := range []bool{false, true} {
				t.Run(fmt.Sprintf("request %d, carried out %t, deleted %t", n, carriedOut, deleted), func(t *testing.T) {
					bubble.Test(t, func(t *testing.T) {
						s := newAPIServer()
						s.until(t)
						dying := s.lead(func(i int, a clienttesting.Action, do doer) (runtime.Object, error) {
							if i < n {
								return do(a)
							}
							if i == n && carriedOut {
								_, _ = do(a)
							}
							return nil, errKilled
						})
						_, err := dying.pass(t.Context())
						switch {
						case n > len(duePass):
							require.NoError(t, err)
							require.Equal(t, duePass, dying.requests)
						case n == 4: // an attempt that leaves everything open changes nothing in the book
							require.NoError(t, err)
							require.Equal(t, duePass[:4], dying.requests)
						default:
							require.ErrorIs(t, err, errKilled)
						}
						run := kube.ScheduledRunID(time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC), "d")
						before := s.made[run]
						if deleted {
							s.deleteRecords()
						}
						s.lead(nil).serve(t, 30*time.Minute)
						e := s.entry(t)
						require.Nil(t, e.Intent, "settled")
						require.LessOrEqual(t, s.made[run], 1)
						require.GreaterOrEqual(t, s.made[run], before)
						switch {
						case before == 1 && deleted && n < 5, before == 1 && deleted && n == 5 && !carriedOut:
							require.Equal(t, 1, e.Missed, "nobody can know that it ran")
						case n == 3 && carriedOut, n == 4 && !carriedOut:
							require.Equal(t, 1, e.Missed)
							require.Zero(t, s.made[run])
							require.Equal(t, "run "+run+" has no record: the server that was making it stopped. "+
								"It may have run, so it is not started again", e.Newest.Reason)
						default:
							require.Zero(t, e.Missed)
							require.Equal(t, 1, s.made[run])
							require.Equal(t, run, e.LastRun)
						}
						s.deleteRecords() // or it would have to end first
						s.lead(nil).serve(t, time.Hour)
						require.Len(t, s.made, s.made[run]+1, "the next due time is not affected")
					})
				})
			}
		}
	}
}

// TestALostAnswerMakesNoSecondRun: the leader lives on. What it knows of its own requests saves the run.
func TestALostAnswerMakesNoSecondRun(t *testing.T) {
	for n := 1; n <= len(duePass); n++ {
		for _, carriedOut := range []bool{false, true} {
			for _, deleted := range []bool{false, true} {
				t.Run(fmt.Sprintf("request %d, carried out %t, deleted %t", n, carriedOut, deleted), func(t *testing.T) {
					bubble.Test(t, func(t *testing.T) {
						s := newAPIServer()
						s.until(t)
						l := s.lead(func(i int, a clienttesting.Action, do doer) (runtime.Object, error) {
							if i != n {
								return do(a)
							}
							if carriedOut {
								_, _ = do(a)
							}
							return nil, errKilled
						})
						_, err := l.pass(t.Context())
						if n != 4 { // its error is noted in the book
							require.ErrorIs(t, err, errKilled)
						}
						if deleted {
							s.deleteRecords()
						}
						l.serve(t, 30*time.Minute)
						e := s.entry(t)
						require.Nil(t, e.Intent)
						if n == 4 && (deleted || !carriedOut) {
							require.Equal(t, 1, e.Missed)
							require.Contains(t, e.Newest.Reason, "killed. It may have run, so it is not started again")
							return
						}
						require.Zero(t, e.Missed)
						require.Len(t, s.made, 1)
						for _, times := range maps.All(s.made) {
							require.Equal(t, 1, times)
						}
					})
				})
			}
		}
	}
}

// TestALeaderThatWakesUpLateMakesNoSecondRun: the first leader hangs before each of its requests. Another one leads, and
// every record is deleted at once.
func TestALeaderThatWakesUpLateMakesNoSecondRun(t *testing.T) {
	for n := 1; n <= len(duePass); n++ {
		t.Run(fmt.Sprintf("request %d, %s", n, duePass[n-1]), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				s := newAPIServer()
				s.until(t)
				asleep, wake, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
				first := s.lead(func(i int, a clienttesting.Action, do doer) (runtime.Object, error) {
					if i == n {
						close(asleep)
						<-wake
					}
					return do(a)
				})
				go func() {
					defer close(ended)
					_, _ = first.pass(t.Context())
				}()
				<-asleep
				second := s.lead(nil)
				for range 30 {
					s.deleteRecords()
					second.serve(t, 2*time.Second)
				}
				s.deleteRecords()
				close(wake)
				<-ended
				s.deleteRecords()
				second.serve(t, time.Minute)
				e := s.entry(t)
				require.Nil(t, e.Intent)
				require.LessOrEqual(t, len(s.made), 1)
				for _, times := range maps.All(s.made) {
					require.Equal(t, 1, times)
				}
				require.GreaterOrEqual(t, len(s.made)+e.Missed, 1)
			})
		})
	}
}

func TestARunThatIsRefusedStaysDueUntilItIsMissed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := newAPIServer()
		s.until(t)
		refuse := true
		l := s.lead(func(_ int, a clienttesting.Action, do doer) (runtime.Object, error) {
			if a.GetVerb() == "create" && refuse {
				return nil, apierrors.NewForbidden(a.GetResource().GroupResource(), "", errors.New("exceeded quota: none"))
			}
			return do(a)
		})
		l.serve(t, 20*time.Second)
		e := s.entry(t)
		require.Nil(t, e.Intent, "an answer that says no is no doubt")
		require.Contains(t, e.Problem, "exceeded quota: none")
		require.Zero(t, e.Missed)
		refuse = false
		l.serve(t, 5*time.Second)
		require.Len(t, s.made, 1)
		require.Empty(t, s.entry(t).Problem)
	})
}

// TestAStopDoesNotLeaveARunHalfMade: a server that is being stopped finishes the run that it has announced.
func TestAStopDoesNotLeaveARunHalfMade(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := newAPIServer()
		s.until(t)
		ctx, stop := context.WithCancel(t.Context())
		l := s.lead(func(i int, a clienttesting.Action, do doer) (runtime.Object, error) {
			if i == 3 {
				stop()
			}
			return do(a)
		})
		_, _ = l.pass(ctx)
		require.Equal(t, duePass, l.requests)
		require.Len(t, s.made, 1)
		e := s.entry(t)
		require.Nil(t, e.Intent)
		require.Equal(t, "2000-01-01T01:00:00Z", e.Last.UTC().Format(time.RFC3339))
	})
}

// TestASlowLeaderIsWaitedFor: another leader finds its intent, and counts nothing as missed while the run may yet come.
func TestASlowLeaderIsWaitedFor(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := newAPIServer()
		s.until(t)
		ended := make(chan struct{})
		slow := s.lead(func(_ int, a clienttesting.Action, do doer) (runtime.Object, error) {
			if a.Matches("create", "drillruns") { // its intent is in the book by then
				time.Sleep(finishWithin - time.Second)
			}
			return do(a)
		})
		go func() {
			defer close(ended)
			_, _ = slow.pass(t.Context())
		}()
		synctest.Wait()
		require.NotNil(t, s.entry(t).Intent)
		require.Empty(t, s.made, "the run is not there yet")
		s.lead(nil).serve(t, time.Minute)
		<-ended
		require.Len(t, s.made, 1)
		e := s.entry(t)
		require.Zero(t, e.Missed)
		require.Nil(t, e.Intent)
		require.Equal(t, kube.ScheduledRunID(e.Last, "d"), e.LastRun)
	})
}
