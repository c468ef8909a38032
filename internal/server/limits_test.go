package server

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// TestT7TheServerRefusesWhatExceedsALimit: before the requester's rights are asked, and in words that name the limit.
func TestT7TheServerRefusesWhatExceedsALimit(t *testing.T) {
	for _, c := range []struct {
		data map[string]string
		says string // "" is admitted
	}{
		{nil, ""},
		{map[string]string{kube.LimitTimeout: "30s"}, "its timeout is 1m0s, and the cluster's owner allows 30s (limit max-timeout"},
		{map[string]string{"max-hodl": "1m"}, "An administrator must correct it"},
	} {
		w := newWorld(t)
		check := w.o.Check
		w.o.Check = func(s kube.Spec, in drill.Inputs) (Request, error) {
			request, err := check(s, in)
			request.Asked = kube.Asked{Timeout: time.Minute, Namespaces: request.Namespaces, Kinds: request.FaultKinds}
			return request, err
		}
		if c.data != nil {
			_, err := w.api.CoreV1().ConfigMaps(ns).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: kube.LimitsMap, Namespace: ns}, Data: c.data}, metav1.CreateOptions{})
			require.NoError(t, err)
		}
		w.create(kube.Status{})
		run, _ := w.step(0)
		if c.says == "" {
			require.Equal(t, kube.PhaseAdmitted, run.Status.Phase)
			continue
		}
		require.Equal(t, drill.VerdictRefused, run.Status.Verdict)
		require.Contains(t, run.Status.Message, c.says)
		require.Contains(t, run.Status.Message, "Nothing was touched.")
	}
}
