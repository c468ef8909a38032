package server

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/test/bubble"
)

// TestT5MembersAreLetGoWhateverTheRecordsSay: the second way back of a member that is held down.
func TestT5MembersAreLetGoWhateverTheRecordsSay(t *testing.T) {
	for name, tc := range map[string]struct {
		raw    string // of the entry; "" is one of run r1
		edit   func(*kube.HeldMember)
		status kube.Status
		none   bool // no record
		goes   time.Duration
	}{
		"its run lives and ends it late": {status: running(), goes: 75 * time.Second},
		"the runner's clock is ahead":    {status: running(), edit: func(m *kube.HeldMember) { m.Until = m.Until.Add(24 * time.Hour) }, goes: 75 * time.Second},
		"a hold without a length":        {status: running(), edit: func(m *kube.HeldMember) { m.Hold, m.Until = 0, m.Until.Add(time.Hour) }, goes: 30 * time.Second},
		"the run is over":                {status: kube.Status{Phase: kube.PhaseFinished}},
		"there is no record":             {none: true},
		"it cannot be read":              {raw: "held by hand", status: running()},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				w := newWorld(t)
				if !tc.none {
					w.create(tc.status)
				}
				m := kube.HeldMember{Run: "r1", UID: "u", Until: time.Now().Add(45 * time.Second), Hold: 45}
				if tc.edit != nil {
					tc.edit(&m)
				}
				raw, err := json.Marshal(m)
				require.NoError(t, err)
				if tc.raw == "" {
					tc.raw = string(raw)
				}
				_, err = w.api.CoreV1().ConfigMaps(kube.Namespace).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: kube.HeldMembers},
					Data: map[string]string{"shop.orders-0": tc.raw}}, metav1.CreateOptions{})
				require.NoError(t, err)
				h := &heldMembers{options: w.o, runs: w.runs, seen: map[string]seenHold{}}
				began := time.Now()
				for time.Since(began) < 5*time.Minute {
					require.NoError(t, h.sweep(t.Context()))
					held, _, err := kube.ReadHeld(t.Context(), w.api)
					require.NoError(t, err)
					if len(held) == 0 {
						break
					}
					require.Equal(t, []string{"shop.orders-0"}, slices.Collect(maps.Keys(held)))
					time.Sleep(heldEvery)
				}
				require.GreaterOrEqual(t, time.Since(began), tc.goes, "not before its time")
				require.LessOrEqual(t, time.Since(began), tc.goes+2*heldEvery)
			})
		})
	}
}
