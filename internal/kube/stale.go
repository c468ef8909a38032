package kube

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
)

// StaleLocks finds locks that nobody will ever release: a runner that died may have had a request on its way that made
// one after everything else of its run was put back.
type StaleLocks struct {
	client kubernetes.Interface
	runs   *Runs
	seen   map[string]*sighting // by the Lease's name
}

// NewStaleLocks begins to watch the locks of all runs.
func NewStaleLocks(client kubernetes.Interface, runs *Runs) *StaleLocks {
	return &StaleLocks{client: client, runs: runs, seen: map[string]*sighting{}}
}

// Sweep deletes the locks of runs that are over which have not been renewed for twice their time, and returns their scopes.
func (s *StaleLocks) Sweep(ctx context.Context) (scopes []string, err error) {
	leases := s.client.CoordinationV1().Leases(s.runs.namespace)
	list, err := leases.List(ctx, metav1.ListOptions{LabelSelector: labels.Set{LabelComponent: componentLock}.String()})
	if err != nil {
		return nil, fmt.Errorf("list the locks: %w", err)
	}
	seen := map[string]*sighting{}
	var all []error
	for i := range list.Items {
		lease := &list.Items[i]
		one := s.seen[lease.Name]
		if one == nil {
			one = new(sighting)
		}
		seen[lease.Name] = one
		one.look(lease)
		if one.unchangedFor() < 2*leaseLength(lease) {
			continue
		}
		over, err := s.runs.over(ctx, holder(lease))
		if err == nil && over {
			if err = deleteLease(ctx, leases, lease, true); err == nil {
				scopes = append(scopes, lease.Annotations[annotationScope])
			}
		}
		all = append(all, err)
	}
	s.seen = seen
	return scopes, errors.Join(all...)
}
