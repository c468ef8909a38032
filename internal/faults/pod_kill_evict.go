package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/failoverdrill/drill/internal/drill"
)

// methodEvict asks the Eviction API, as a drain of a node does: the only way that a PodDisruptionBudget has a say in.
const methodEvict = "evict"

// evictTimeout bounds one eviction, with the client's own waiting for a budget that is still being reckoned.
const evictTimeout = 20 * time.Second

// evict asks for one eviction after the other. A budget that allows none of them refuses the run; one that allows some
// has shown what it is worth, and the run goes on with those.
func evict(ctx context.Context, d Deps, st podKillState) error {
	var spared []drill.Member
	var words []string
	for _, v := range st.Victims {
		err := evictOne(ctx, d, v)
		switch {
		case err == nil:
		case apierrors.IsTooManyRequests(err) && apierrors.HasStatusCause(err, policyv1.DisruptionBudgetCause):
			spared = append(spared, v.Member)
			if said := budgetWords(err); !slices.Contains(words, said) {
				words = append(words, said)
			}
		default:
			return fmt.Errorf("evict %s: %w", v, err)
		}
	}
	asked := len(st.Victims)
	switch len(spared) {
	case 0:
		return nil
	case asked:
		return &drill.Refusal{Code: "evictions_refused", Text: fmt.Sprintf("No eviction was allowed, of %d that were asked for: %s", asked, strings.Join(words, "; "))}
	}
	return &drill.Curtailed{Code: "evictions_refused", Spared: spared,
		Text: fmt.Sprintf("%d of %d evictions were allowed. The others were refused: %s.", asked-len(spared), asked, strings.Join(words, "; "))}
}

func evictOne(ctx context.Context, d Deps, v killVictim) error {
	ctx, cancel := context.WithTimeout(ctx, evictTimeout)
	defer cancel()
	return d.Kube.CoreV1().Pods(v.Namespace).EvictV1(ctx, &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Namespace: v.Namespace, Name: v.Name},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: new(types.UID(v.UID))}},
	})
}

// budgetWords is what the API server says of the budget that refused.
func budgetWords(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Details != nil {
		for _, c := range status.Status().Details.Causes {
			if c.Type == policyv1.DisruptionBudgetCause && c.Message != "" {
				return strings.TrimSuffix(c.Message, ".")
			}
		}
	}
	return strings.TrimSuffix(err.Error(), ".")
}
