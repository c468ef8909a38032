package probes

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	kubefake "k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/failoverdrill/drill/internal/drill"
)

// slot takes one slot under a deadline, as the sampler does; one so long that a busy machine does not miss it.
func slot(t *testing.T, p drill.Probe, n int64) drill.Sample {
	t.Helper()
	return slotWithin(t, p, n, 10*time.Second)
}

func slotWithin(t *testing.T, p drill.Probe, n int64, deadline time.Duration) drill.Sample {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	s := drill.Sample{Slot: n}
	begun := time.Now()
	p.Sample(ctx, &s)
	assert.Less(t, time.Since(begun), deadline+5*time.Second, "a slot ends with its deadline")
	return s
}

// patience is the deadline for a slot of which this is expected.
func patience(signal string) time.Duration {
	if signal == drill.SignalTimeout {
		return 300 * time.Millisecond
	}
	return 10 * time.Second
}

// listen runs a server that does something with each raw connection.
func listen(t *testing.T, do func(*net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			do(c.(*net.TCPConn))
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// nobody is an address at which nothing listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// abort ends a connection with a reset.
func abort(c *net.TCPConn) {
	_, _ = c.Read(make([]byte, 4096))
	_ = c.SetLinger(0)
	_ = c.Close()
}

func ok(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "all is well") }

func TestHTTPAnswers(t *testing.T) {
	page := func(h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	status := func(code int) string {
		return page(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(code)
		})
	}
	stuck := make(chan struct{})
	t.Cleanup(func() { close(stuck) })
	half := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "half")
		w.(http.Flusher).Flush()
	}
	secure := httptest.NewTLSServer(http.HandlerFunc(ok))
	secure.Config.ErrorLog = nil
	t.Cleanup(secure.Close)
	hung := listen(t, func(c *net.TCPConn) { t.Cleanup(func() { _ = c.Close() }) })
	for name, c := range map[string]struct{ url, more, want string }{
		"good":             {url: page(ok)},
		"another status":   {url: status(204), more: "expect_status = [200, 204]"},
		"one status":       {url: status(404), more: "expect_status = 404"},
		"not that status":  {url: page(ok), more: "expect_status = 404", want: "http_200"},
		"ill":              {url: status(503), want: "http_503"},
		"a redirect":       {url: status(302), want: "http_302"},
		"the body":         {url: page(ok), more: `expect_body = "well"`},
		"another body":     {url: page(ok), more: `expect_body = "ill"`, want: "body"},
		"a matching body":  {url: page(ok), more: `expect_body_regex = "(?i)^ALL .* well$"`},
		"no matching body": {url: page(ok), more: `expect_body_regex = "^well"`, want: "body"},
		"an error page with 200": {url: page(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "<html>Something went wrong</html>")
		}), more: `expect_json = { status = "ok" }`, want: "body"},
		"refused":             {url: "http://" + nobody(t), want: "refused"},
		"reset":               {url: "http://" + listen(t, abort), want: "reset"},
		"closed":              {url: "http://" + listen(t, func(c *net.TCPConn) { _, _ = c.Read(make([]byte, 4096)); _ = c.Close() }), want: "closed"},
		"accepted and silent": {url: "http://" + hung, want: "timeout"},
		"slow": {url: page(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-stuck:
			case <-r.Context().Done():
			}
		}), want: "timeout"},
		"half an answer": {url: page(half), want: "closed"},
		"half and silent": {url: page(func(w http.ResponseWriter, r *http.Request) {
			half(w, r)
			select {
			case <-stuck:
			case <-r.Context().Done():
			}
		}), want: "timeout"},
		"no such name":     {url: "http://checkout.invalid/", want: "dns"},
		"unknown issuer":   {url: secure.URL, want: "tls"},
		"no TLS":           {url: strings.Replace(page(ok), "http:", "https:", 1), want: "tls"},
		"TLS and a hang":   {url: "https://" + hung, want: "timeout"},
		"not HTTP at all":  {url: "http://" + listen(t, func(c *net.TCPConn) { _, _ = c.Write([]byte("220 mail\r\n")); _ = c.Close() }), want: "error"},
		"a HEAD of a page": {url: page(ok), more: `method = "HEAD"`},
	} {
		for _, class := range []string{"fresh", "pooled"} {
			t.Run(name+", "+class, func(t *testing.T) {
				p := bind(t, Deps{}, "http", fmt.Sprintf("url = %q\nclass = %q\n%s", c.url, class, c.more))
				s := slotWithin(t, p, 0, patience(c.want))
				assert.Equal(t, c.want, s.Signal)
				outcome := drill.OutcomeOK
				if c.want != "" {
					outcome = drill.OutcomeFail
				}
				assert.Equal(t, outcome, s.Outcome)
				assert.False(t, s.Write)
			})
		}
	}
}

// TestHTTPClasses: a fresh probe connects in every slot, a pooled one keeps its connections and uses them in turn.
func TestHTTPClasses(t *testing.T) {
	var dialled atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(ok))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			dialled.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	for class, want := range map[string]int64{"fresh": 20, "pooled": keptAlive} {
		dialled.Store(0)
		p := bind(t, Deps{}, "http", fmt.Sprintf("url = %q\nclass = %q", server.URL, class))
		for n := range int64(20) {
			require.Equal(t, drill.OutcomeOK, slot(t, p, n).Outcome)
		}
		assert.Equal(t, want, dialled.Load(), class)
	}
}

// TestHTTPSendsOnce: net/http would send a request again when a kept connection dies under it, and the slot would look
// good.
func TestHTTPSendsOnce(t *testing.T) {
	var asked atomic.Int64
	address := listen(t, func(c *net.TCPConn) {
		go func() {
			buf := make([]byte, 4096)
			if _, err := c.Read(buf); err == nil {
				asked.Add(1)
				_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
			}
			if _, err := c.Read(buf); err == nil {
				asked.Add(1)
			}
			_ = c.Close() // in the place of a second answer
		}()
	})
	p := bind(t, Deps{}, "http", fmt.Sprintf("url = \"http://%s\"\nclass = \"pooled\"", address))
	require.Equal(t, drill.OutcomeOK, slot(t, p, 0).Outcome)
	s := slot(t, p, keptAlive) // the same connection again
	assert.Equal(t, drill.OutcomeFail, s.Outcome)
	assert.Equal(t, drill.SignalClosed, s.Signal)
	assert.EqualValues(t, 2, asked.Load(), "a third request would be a retry")
}

func TestHTTPHeaders(t *testing.T) {
	var got http.Header
	var host string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got, host = r.Header, r.Host }))
	t.Cleanup(server.Close)
	p := bind(t, Deps{}, "http", fmt.Sprintf("url = %q\nheaders = { Host = \"shop.example\", X-Probe = \"drill\" }", server.URL))
	require.Equal(t, drill.OutcomeOK, slot(t, p, 0).Outcome)
	assert.Equal(t, "drill", got.Get("X-Probe"))
	assert.Equal(t, "shop.example", host)
}

func TestTCPAnswers(t *testing.T) {
	for name, c := range map[string]struct{ address, want string }{
		"good":                  {address: listen(t, func(c *net.TCPConn) { _ = c.Close() })},
		"refused":               {nobody(t), "refused"},
		"no such name":          {"orders.invalid:5432", "dns"},
		"nobody at the address": {blackHole(t), "timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			s := slotWithin(t, bind(t, Deps{}, "tcp", fmt.Sprintf("address = %q", c.address)), 0, patience(c.want))
			assert.Equal(t, c.want, s.Signal)
			assert.Equal(t, c.want == "", s.Outcome == drill.OutcomeOK)
		})
	}
}

// blackHole is an address that answers nothing: a listener whose backlog is full drops what knocks.
func blackHole(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Close(fd) })
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, syscall.Listen(fd, 0))
	name, err := syscall.Getsockname(fd)
	require.NoError(t, err)
	address := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for range 3 {
		if c, err := net.DialTimeout("tcp", address, 100*time.Millisecond); err == nil {
			t.Cleanup(func() { c.Close() })
		}
	}
	return address
}

func TestPromQLAnswers(t *testing.T) {
	var answer atomic.Value
	code := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/api/v1/query", r.URL.Path)
		assert.Equal(t, "sum(up)", r.FormValue("query"))
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprint(w, answer.Load())
	}))
	t.Cleanup(server.Close)
	vector := func(elements string) string {
		return `{"status":"success","data":{"resultType":"vector","result":[` + elements + `]}}`
	}
	p := bind(t, Deps{}, "promql", fmt.Sprintf("url = %q\nquery = \"sum(up)\"", server.URL))
	for name, c := range map[string]struct {
		code   int
		answer string
		value  float64
		valued bool
		signal string
	}{
		"a vector of one": {answer: vector(`{"metric":{},"value":[1700000000.1,"3.5"]}`), value: 3.5, valued: true},
		"a scalar":        {answer: `{"status":"success","data":{"resultType":"scalar","result":[1700000000.1,"0"]}}`, valued: true},
		"nothing":         {answer: vector("")},
		"no number":       {answer: vector(`{"metric":{},"value":[1,"NaN"]}`)},
		"no end":          {answer: vector(`{"metric":{},"value":[1,"+Inf"]}`)},
		"two":             {answer: vector(`{"metric":{"a":"1"},"value":[1,"1"]},{"metric":{"a":"2"},"value":[1,"2"]}`), signal: "many_values"},
		"a range":         {answer: `{"status":"success","data":{"resultType":"matrix","result":[]}}`, signal: "bad_query"},
		"not PromQL":      {code: 400, answer: `{"status":"error","errorType":"bad_data","error":"parse error"}`, signal: "bad_query"},
		"too slow":        {code: 503, answer: `{"status":"error","errorType":"timeout","error":"query timed out"}`, signal: "http_503"},
		"not evaluated":   {code: 422, answer: `{"status":"error","errorType":"execution","error":"many-to-many"}`, signal: "bad_query"},
		"a proxy's page":  {code: 502, answer: `<html>`, signal: "http_502"},
	} {
		t.Run(name, func(t *testing.T) {
			answer.Store(c.answer)
			if code = c.code; code == 0 {
				code = http.StatusOK
			}
			s := slot(t, p, 0)
			assert.Equal(t, c.signal, s.Signal)
			assert.Equal(t, c.signal == "", s.Outcome == drill.OutcomeOK)
			assert.Equal(t, c.valued, s.Valued)
			assert.Equal(t, c.value, s.Value)
		})
	}
	for want, address := range map[string]string{"refused": nobody(t), "timeout": listen(t, func(c *net.TCPConn) { t.Cleanup(func() { _ = c.Close() }) })} {
		s := slotWithin(t, bind(t, Deps{}, "promql", fmt.Sprintf("url = \"http://%s\"\nquery = \"up\"", address)), 0, patience(want))
		assert.Equal(t, want, s.Signal)
		assert.False(t, s.Valued)
	}
}

func TestKubernetesCountsReadyEndpoints(t *testing.T) {
	endpoint := func(address, uid string, ready *bool) discoveryv1.Endpoint {
		e := discoveryv1.Endpoint{Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: ready}}
		if uid != "" {
			e.TargetRef = &corev1.ObjectReference{UID: types.UID(uid)}
		}
		return e
	}
	slice := func(name, service string, endpoints ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{Endpoints: endpoints, ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name,
			Labels: map[string]string{discoveryv1.LabelServiceName: service}}}
	}
	for name, c := range map[string]struct {
		objects []runtime.Object
		want    float64
		valued  bool
	}{
		"ready, not ready and silent about it": {valued: true, want: 2, objects: []runtime.Object{
			slice("a", "checkout", endpoint("10.0.0.1", "u1", new(true)), endpoint("10.0.0.2", "u2", new(false)), endpoint("10.0.0.3", "u3", nil))}},
		"both families, one pod": {valued: true, want: 1, objects: []runtime.Object{
			slice("a", "checkout", endpoint("10.0.0.1", "u1", new(true))), slice("b", "checkout", endpoint("fd00::1", "u1", new(true)))}},
		"without pods":      {valued: true, want: 2, objects: []runtime.Object{slice("a", "checkout", endpoint("10.0.0.1", "", nil), endpoint("10.0.0.2", "", nil))}},
		"none is ready":     {valued: true, objects: []runtime.Object{slice("a", "checkout", endpoint("10.0.0.1", "u1", new(false)))}},
		"an empty slice":    {valued: true, objects: []runtime.Object{slice("a", "checkout")}},
		"another Service's": {objects: []runtime.Object{slice("a", "orders", endpoint("10.0.0.1", "u1", new(true)))}},
		"no slice at all":   {},
	} {
		t.Run(name, func(t *testing.T) {
			s := slot(t, bind(t, Deps{Kube: kubefake.NewClientset(c.objects...)}, "kubernetes", "namespace = \"shop\"\nservice = \"checkout\""), 0)
			assert.Equal(t, drill.OutcomeOK, s.Outcome)
			assert.Equal(t, c.valued, s.Valued)
			assert.Equal(t, c.want, s.Value)
		})
	}
}

// TestKubernetesUnreachableIsUnknown: that the API server cannot be asked does not mean that nothing is ready.
func TestKubernetesUnreachableIsUnknown(t *testing.T) {
	for want, err := range map[string]error{
		"http_403": apierrors.NewForbidden(discoveryv1.Resource("endpointslices"), "", nil),
		"timeout":  context.DeadlineExceeded,
		"refused":  &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED},
	} {
		client := kubefake.NewClientset()
		client.PrependReactor("list", "endpointslices", func(k8stesting.Action) (bool, runtime.Object, error) { return true, nil, err })
		s := slot(t, bind(t, Deps{Kube: client}, "kubernetes", "namespace = \"shop\"\nservice = \"checkout\""), 0)
		assert.Equal(t, drill.OutcomeFail, s.Outcome)
		assert.Equal(t, want, s.Signal)
		assert.False(t, s.Valued)
	}
}
