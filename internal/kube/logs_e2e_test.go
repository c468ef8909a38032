//go:build e2e

package kube_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/kube"
)

func TestALogIsFollowedWholeOverALineThatIsCut(t *testing.T) {
	c := connect(t)
	ns := space(t, c)
	cuttable, line := overLine(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	var got []string
	_, err := c.CoreV1().Pods(ns).Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "talker"}, Spec: corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever,
		Containers: []corev1.Container{{Name: "runner", Image: "failoverdrill/patroni:demo", ImagePullPolicy: corev1.PullNever, // has a shell
			Command: []string{"bash", "-c", "for i in $(seq 1 300); do echo line $i; sleep 0.02; done; echo -n end"}}}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	go func() {
		done <- kube.Follow(ctx, cuttable, ns, "talker", func(text []byte) { got = append(got, string(text)) })
	}()
	for ended := false; !ended; {
		time.Sleep(700 * time.Millisecond)
		line.cut.Store(true)
		time.Sleep(300 * time.Millisecond)
		line.cut.Store(false)
		pod, err := c.CoreV1().Pods(ns).Get(ctx, "talker", metav1.GetOptions{})
		require.NoError(t, err)
		ended = pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	}
	require.NoError(t, <-done)
	require.Len(t, got, 301)
	for i := range 300 {
		require.Equal(t, fmt.Sprint("line ", i+1), got[i])
	}
	require.Equal(t, "end", got[300])

	err = kube.Follow(ctx, c, ns, "nobody", func([]byte) {})
	require.True(t, apierrors.IsNotFound(err), "%v", err)
}
