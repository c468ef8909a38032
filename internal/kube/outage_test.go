package kube

import (
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/failoverdrill/drill/test/bubble"
)

// T11, T16: a lock that could not be renewed in time forbids injections, and is renewed all the same when the API server
// is back: nobody takes it from a run that has not ended, and the server looks at it to see whether the runner lives.
func TestT16ALockIsRenewedAgainAfterAnOutage(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		api := fake.NewClientset()
		var away atomic.Bool
		api.PrependReactor("*", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
			if away.Load() {
				return true, nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
			}
			return false, nil, nil
		})
		lock := NewLock(api, NewRuns(noRecords{}, ""), "r1")
		release, lost, err := lock.Acquire(t.Context(), []string{"namespace/shop"})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.Greater(t, time.Until(lock.Until()), 9*time.Second)

		away.Store(true)
		time.Sleep(16 * time.Second)
		<-lost
		require.False(t, time.Now().Before(lock.Until()), "nothing is injected any more")
		time.Sleep(3 * time.Minute)
		away.Store(false)
		time.Sleep(3 * time.Second)
		require.Greater(t, time.Until(lock.Until()), 9*time.Second)
		require.NoError(t, release(t.Context()))
	})
}

// T11: a lock that somebody took away is held no more, whatever the time.
func TestT11ALockThatWasTakenAwayIsOver(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		api := fake.NewClientset()
		lock := NewLock(api, NewRuns(noRecords{}, ""), "r1")
		_, lost, err := lock.Acquire(t.Context(), []string{"namespace/shop"})
		require.NoError(t, err)
		require.NoError(t, ReleaseLocks(t.Context(), api, Namespace, "r1"))
		time.Sleep(6 * time.Second)
		<-lost
		require.False(t, time.Now().Before(lock.Until()))
	})
}

// noRecords is a dynamic client that nobody asks.
type noRecords struct{ dynamic.Interface }

func (noRecords) Resource(schema.GroupVersionResource) dynamic.NamespaceableResourceInterface {
	return noRecord{}
}

type noRecord struct {
	dynamic.NamespaceableResourceInterface
}

func (noRecord) Namespace(string) dynamic.ResourceInterface { return nil }

type answer string

func (a answer) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{Header: http.Header{"Date": []string{string(a)}}}, nil
}

// T6: the age of a request is judged by the API server's clock; this machine's may be an hour off.
func TestT6TheAgeIsByTheAPIServersClock(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		clock := new(Clock)
		require.Equal(t, time.Minute, clock.Age(time.Now().Add(-time.Minute)), "before the first answer")
		there := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
		_, err := clock.wrap(answer(there.Format(http.TimeFormat))).RoundTrip(nil) //nolint:bodyclose // it has none
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		require.Equal(t, 10*time.Second, clock.Age(there))
		require.Zero(t, clock.Age(time.Time{}))
		require.WithinDuration(t, time.Now(), (*Clock)(nil).Now(), time.Second)
	})
}
