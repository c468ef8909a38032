package server

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/test/bubble"
)

// door is the port of a server with a cluster that knows two tokens, and lets one of their owners see what is asked.
func door(t *testing.T, pages, metrics string) (site http.Handler, w *world, asked *int) {
	w = newWorld(t)
	asked = new(int)
	w.record("a", over(drill.VerdictPassed, 1))
	w.api.PrependReactor("create", "tokenreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		*asked++
		r := a.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
		if r.Spec.Token == "alice" || r.Spec.Token == "mallory" {
			r.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: r.Spec.Token, Groups: []string{"people"}}}
		}
		return true, r, nil
	})
	w.api.PrependReactor("create", "subjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		r := a.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
		list := r.Spec.ResourceAttributes != nil && r.Spec.ResourceAttributes.Verb == "list" && r.Spec.ResourceAttributes.Resource == "drillruns" && r.Spec.ResourceAttributes.Namespace == ns
		get := r.Spec.NonResourceAttributes != nil && r.Spec.NonResourceAttributes.Path == "/metrics"
		r.Status.Allowed = r.Spec.User == "alice" && len(r.Spec.Groups) == 1 && (list || get)
		return true, r, nil
	})
	o := w.o
	o.Registry, o.PageAuth, o.MetricsAuth = prometheus.NewRegistry(), pages, metrics
	return handler(o, &elector{options: o, index: w.indexed()}, newReadiness(o.Client, o.Log)), w, asked
}

func knock(site http.Handler, path string, show func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", path, nil)
	show(r)
	got := httptest.NewRecorder()
	site.ServeHTTP(got, r)
	return got
}

func bearer(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

// TestT17ThePagesAskWho: every page with something of a record in it, by default; metrics when that is chosen.
func TestT17ThePagesAskWho(t *testing.T) {
	nobody := func(*http.Request) {}
	basic := func(token string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth("anything", token) }
	}
	site, _, _ := door(t, "", "")
	for _, path := range []string{"/", "/runs/a", "/runs/a/report.json", "/runs/a/report.xml", "/runs/none", "/other"} {
		got := knock(site, path, nobody)
		require.Equal(t, http.StatusUnauthorized, got.Code, path)
		require.Contains(t, got.Body.String(), "kubectl -n failoverdrill create token drill-viewer")
		require.Len(t, got.Header().Values("WWW-Authenticate"), 2)
		require.Equal(t, http.StatusUnauthorized, knock(site, path, bearer("made-up")).Code, path)
		require.Equal(t, http.StatusForbidden, knock(site, path, bearer("mallory")).Code, path)
		require.NotContains(t, knock(site, path, bearer("mallory")).Body.String(), "PASSED")
		require.NotContains(t, []int{401, 403}, knock(site, path, bearer("alice")).Code, path)
		require.NotContains(t, []int{401, 403}, knock(site, path, basic("alice")).Code, "as a browser shows it")
	}
	require.Contains(t, knock(site, "/runs/a", bearer("alice")).Body.String(), "PASSED")
	require.Contains(t, knock(site, "/", bearer("mallory")).Body.String(), "it takes the right to list drillruns.failoverdrill.io in namespace failoverdrill")
	require.Equal(t, http.StatusOK, knock(site, "/metrics", nobody).Code)
	require.Equal(t, http.StatusOK, knock(site, "/healthz", nobody).Code)

	site, _, _ = door(t, AuthAnonymous, AuthToken)
	require.Equal(t, http.StatusOK, knock(site, "/", nobody).Code)
	require.Equal(t, http.StatusUnauthorized, knock(site, "/metrics", nobody).Code)
	require.Equal(t, http.StatusOK, knock(site, "/metrics", bearer("alice")).Code)
}

// TestT17TheClusterIsAskedOnceAMinute: and what it said of made-up tokens does not fill the memory.
func TestT17TheClusterIsAskedOnceAMinute(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		site, _, asked := door(t, "", "")
		for range 10 {
			require.Equal(t, http.StatusOK, knock(site, "/", bearer("alice")).Code)
		}
		require.Equal(t, 1, *asked)
		time.Sleep(knownFor + time.Second)
		knock(site, "/", bearer("alice"))
		require.Equal(t, 2, *asked, "a right that was taken away is gone after a minute")
	})
	w := newWorld(t)
	d := newDoorkeeper(w.o.Client, w.o.Log)
	for i := range 5 * maxKnown {
		d.remember(sha256.Sum256([]byte(fmt.Sprint("made-up-", i))), admittance{status: http.StatusUnauthorized, until: time.Now().Add(deniedFor)})
	}
	require.LessOrEqual(t, len(d.known), maxKnown)
}

// TestT17ReadyzAsksNobody: a flood of it makes no request to the API server.
func TestT17ReadyzAsksNobody(t *testing.T) {
	w := newWorld(t)
	ready := newReadiness(w.o.Client, w.o.Log)
	w.o.Registry = prometheus.NewRegistry()
	site := handler(w.o, &elector{options: w.o, index: w.indexed()}, ready)
	require.Equal(t, http.StatusServiceUnavailable, w.get(site, "/readyz").Code, "not asked yet")
	ready.ask(t.Context())
	w.api.ClearActions()
	for range 1000 {
		require.Equal(t, http.StatusOK, w.get(site, "/readyz").Code)
	}
	require.Empty(t, w.api.Actions())
	ready.at = time.Now().Add(-readyWithin - time.Second)
	require.Equal(t, http.StatusServiceUnavailable, w.get(site, "/readyz").Code, "an old answer says nothing")
}

// TestT17TheNewestConnectionGetsIn: whoever holds connections loses the oldest, and the kubelet is answered.
func TestT17TheNewestConnectionGetsIn(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := BoundedListener(inner).(*boundedListener)
	server := BoundedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	go func() { _ = server.Serve(l) }()
	defer func() { _ = server.Close() }()
	var held []net.Conn
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	for i := range 2 * maxConnections { // from eight addresses of loopback
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%8))}}
		c, err := d.DialContext(t.Context(), "tcp", inner.Addr().String())
		require.NoError(t, err)
		held = append(held, c)
	}
	for range 10 {
		client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		res, err := client.Get("http://" + inner.Addr().String() + "/healthz")
		require.NoError(t, err)
		_ = res.Body.Close()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	require.LessOrEqual(t, l.all.Len(), maxConnections)
	for _, one := range l.of {
		require.LessOrEqual(t, one.Len(), maxOfOneAddress)
	}
}

// TestT17OneAddressTakesItsShareAlone.
func TestT17OneAddressTakesItsShareAlone(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := BoundedListener(inner).(*boundedListener)
	defer l.Close()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", inner.Addr().String())
		require.NoError(t, err)
		_, err = l.Accept()
		require.NoError(t, err)
		return c
	}
	first := dial()
	for range maxOfOneAddress {
		defer dial().Close()
	}
	require.Equal(t, maxOfOneAddress, l.all.Len())
	require.NoError(t, first.SetReadDeadline(time.Now().Add(5*time.Second)))
	_, err = first.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "the oldest one was closed")
}

// TestT21HealthzSeesALeaderThatHangs: T21: Kubernetes restarts it, and another leads.
func TestT21HealthzSeesALeaderThatHangs(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.o.Registry = prometheus.NewRegistry()
		e := &elector{options: w.o}
		site := handler(w.o, e, newReadiness(w.o.Client, w.o.Log))
		healthy := func() bool { return w.get(site, "/healthz").Code == http.StatusOK }
		require.True(t, healthy(), "a server that stands by")

		lost, ended := e.vital.began()
		ctx, cancel := context.WithCancel(t.Context())
		var hangs atomic.Bool
		w.alive = func() {
			if !hangs.Load() {
				e.vital.tick()
			}
		}
		go w.beats(ctx)
		worker := make(chan struct{})
		go func() {
			defer close(worker)
			for w.next(ctx) {
			}
		}()
		time.Sleep(time.Hour)
		require.True(t, healthy(), "its workers take the heartbeat")
		hangs.Store(true) // they take nothing any more
		time.Sleep(beatWithin + beatEvery + time.Second)
		require.False(t, healthy())
		hangs.Store(false)
		time.Sleep(beatEvery + time.Second)
		require.True(t, healthy())

		lost()
		require.True(t, healthy())
		time.Sleep(beatWithin + time.Second)
		require.False(t, healthy(), "it leads no more, and its work does not stop")
		ended()
		require.True(t, healthy())
		lost() // late
		time.Sleep(beatWithin + time.Second)
		require.True(t, healthy())
		cancel()
		w.queue.ShutDown()
		<-worker
	})
}
