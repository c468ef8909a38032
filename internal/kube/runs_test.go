package kube_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// TestOnlyAnAnswerThatSaysNoProvesThatNoRunWasMade: after anything else the run may be there.
func TestOnlyAnAnswerThatSaysNoProvesThatNoRunWasMade(t *testing.T) {
	runs := schema.GroupResource{Resource: "drillruns"}
	for name, c := range map[string]struct {
		err    error
		unmade bool
	}{
		"no right":           {apierrors.NewForbidden(runs, "r", errors.New("no")), true},
		"too many requests":  {apierrors.NewTooManyRequests("later", 1), true},
		"no one listens":     {broken("dial", "connection refused"), true},
		"connection is lost": {broken("read", "connection reset by peer"), false},
		"time is up":         {context.DeadlineExceeded, false},
		"etcd is slow":       {apierrors.NewTimeoutError("etcdserver: request timed out", 1), false},
		"internal error":     {apierrors.NewInternalError(errors.New("oh")), false},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.unmade, kube.Unmade(fmt.Errorf("create a run: %w", c.err)))
			client := dynamicfake.NewSimpleDynamicClient(runtime.NewScheme())
			client.PrependReactor("create", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, c.err
			})
			_, err := kube.NewRuns(client, "").CreateScheduled(t.Context(), kube.Spec{Drill: "d"}, time.Now())
			require.Error(t, err)
			require.Equal(t, c.unmade, kube.Unmade(err))
		})
	}
	tooLong := kube.Spec{Drill: "d", Source: string(make([]byte, kube.MaxSource+1))}
	_, err := kube.NewRuns(dynamicfake.NewSimpleDynamicClient(runtime.NewScheme()), "").CreateScheduled(t.Context(), tooLong, time.Now())
	require.ErrorAs(t, err, new(*drill.Refusal))
	require.True(t, kube.Unmade(err), "it was not even asked for")
}

// broken is an error of the network.
func broken(operation, why string) error {
	return &url.Error{Op: "Post", Err: &net.OpError{Op: operation, Err: errors.New(why)}}
}

// TestARunThatWasThereAndIsGoneWasMade: its record is deleted between "it exists" and the reading of it.
func TestARunThatWasThereAndIsGoneWasMade(t *testing.T) {
	client := dynamicfake.NewSimpleDynamicClient(runtime.NewScheme())
	client.PrependReactor("create", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewAlreadyExists(a.GetResource().GroupResource(), "r")
	})
	_, err := kube.NewRuns(client, "").CreateScheduled(t.Context(), kube.Spec{Drill: "d"}, time.Now())
	require.ErrorContains(t, err, "existed")
	require.False(t, kube.Unmade(err))
}
