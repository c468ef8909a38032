package kube

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/failoverdrill/drill/test/bubble"
)

// holdWorld is an API server whose clock is ahead of this machine's.
func holdWorld(ahead time.Duration, data map[string]string) (*Holds, *fake.Clientset) {
	api := fake.NewClientset()
	if data != nil {
		api = fake.NewClientset(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: HoldName, Namespace: Namespace}, Data: data})
	}
	api.PrependReactor("create", "selfsubjectreviews", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, &authenticationv1.SelfSubjectReview{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(time.Now().Add(ahead))}}, nil
	})
	return NewHolds(api, ""), api
}

// TestAHoldEndsByTheClustersClock, whatever this machine's says; and a hold that nobody can read completely is one.
func TestAHoldEndsByTheClustersClock(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		until := func(d time.Duration) map[string]string {
			return map[string]string{holdUntil: time.Now().Add(d).UTC().Format(time.RFC3339)}
		}
		for _, c := range []struct {
			ahead time.Duration
			data  map[string]string
			held  bool
		}{
			{0, nil, false}, {0, map[string]string{}, true}, {0, until(time.Hour), true}, {0, until(-time.Hour), false},
			{2 * time.Hour, until(time.Hour), false}, {-2 * time.Hour, until(-time.Hour), true},
			{0, map[string]string{holdUntil: "tomorrow"}, true},
		} {
			holds, _ := holdWorld(c.ahead, c.data)
			hold, err := holds.Get(t.Context())
			require.NoError(t, err)
			require.Equal(t, c.held, hold != nil, "%v", c)
		}
	})
}

// TestARunnerObeysAHold within a second, and goes on while it cannot be read.
func TestARunnerObeysAHold(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		holds, api := holdWorld(0, nil)
		var away atomic.Bool
		away.Store(true)
		api.PrependReactor("get", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
			return away.Load(), nil, errors.New("no answer")
		})
		var told atomic.Int64
		ctx, stop := holds.Watch(t.Context(), func(error) { told.Add(1) })
		defer stop()
		time.Sleep(10 * time.Minute)
		require.NoError(t, ctx.Err(), "an API server that is away is no hold")
		require.EqualValues(t, 1, told.Load(), "said once")
		away.Store(false)
		time.Sleep(time.Minute)
		require.NoError(t, ctx.Err())
		_, err := api.CoreV1().ConfigMaps(Namespace).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: HoldName},
			Data: map[string]string{holdReason: "incident\x1b[2J", holdBy: "olga"}}, metav1.CreateOptions{})
		require.NoError(t, err)
		began := time.Now()
		<-ctx.Done()
		require.LessOrEqual(t, time.Since(began), holdEvery)
		require.EqualError(t, context.Cause(ctx), "drill is on hold (incident [2J), by olga")
	})
}
