package targets

import (
	"context"
	"fmt"
	"maps"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
)

// source is a set of objects that can be listed and watched.
type source[T metav1.Object] struct {
	what  string
	list  func(context.Context, metav1.ListOptions) ([]T, string, error)
	watch func(context.Context, metav1.ListOptions) (watch.Interface, error)
	apply func(map[string]T)
}

// podsOf are the pods that a selector matches.
func podsOf(kube kubernetes.Interface, namespace, selector string, apply func(map[string]*corev1.Pod)) source[*corev1.Pod] {
	pods := kube.CoreV1().Pods(namespace)
	return source[*corev1.Pod]{
		what: "pods", apply: apply,
		list: func(ctx context.Context, o metav1.ListOptions) ([]*corev1.Pod, string, error) {
			o.LabelSelector = selector
			l, err := pods.List(ctx, o)
			if err != nil {
				return nil, "", err
			}
			return pointers(l.Items), l.ResourceVersion, nil
		},
		watch: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = selector
			return pods.Watch(ctx, o)
		},
	}
}

// slicesOf are the EndpointSlices of a Service.
func slicesOf(kube kubernetes.Interface, namespace, service string, apply func(map[string]*discoveryv1.EndpointSlice)) source[*discoveryv1.EndpointSlice] {
	endpoints := kube.DiscoveryV1().EndpointSlices(namespace)
	selector := discoveryv1.LabelServiceName + "=" + service
	return source[*discoveryv1.EndpointSlice]{
		what: "endpointslices", apply: apply,
		list: func(ctx context.Context, o metav1.ListOptions) ([]*discoveryv1.EndpointSlice, string, error) {
			o.LabelSelector = selector
			l, err := endpoints.List(ctx, o)
			if err != nil {
				return nil, "", err
			}
			return pointers(l.Items), l.ResourceVersion, nil
		},
		watch: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = selector
			return endpoints.Watch(ctx, o)
		},
	}
}

// budgetsOf are the PodDisruptionBudgets of a namespace.
func budgetsOf(kube kubernetes.Interface, namespace string, apply func(map[string]*policyv1.PodDisruptionBudget)) source[*policyv1.PodDisruptionBudget] {
	budgets := kube.PolicyV1().PodDisruptionBudgets(namespace)
	return source[*policyv1.PodDisruptionBudget]{
		what: "poddisruptionbudgets", apply: apply,
		list: func(ctx context.Context, o metav1.ListOptions) ([]*policyv1.PodDisruptionBudget, string, error) {
			l, err := budgets.List(ctx, o)
			if err != nil {
				return nil, "", err
			}
			return pointers(l.Items), l.ResourceVersion, nil
		},
		watch: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) { return budgets.Watch(ctx, o) },
	}
}

func pointers[T any](items []T) []*T {
	out := make([]*T, len(items))
	for i := range items {
		out[i] = &items[i]
	}
	return out
}

// load lists the objects once.
func (s source[T]) load(ctx context.Context) (map[string]T, string, error) {
	items, version, err := s.list(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, "", fmt.Errorf("list %s: %w", s.what, err)
	}
	all := map[string]T{}
	for _, item := range items {
		all[item.GetName()] = item
	}
	return all, version, nil
}

// follow keeps a source up to date until ctx ends. Whenever the watch closes, as it does every few minutes, it lists
// again, so nothing is missed. A fault may take the API server away for a while, so only a missing right ends it.
func follow[T metav1.Object](ctx context.Context, s source[T], log *zap.Logger, fatal context.CancelCauseFunc) {
	for ctx.Err() == nil {
		err := s.once(ctx)
		if apierrors.IsForbidden(err) {
			fatal(err)
			return
		}
		if err != nil && ctx.Err() == nil {
			log.Warn("the watch ended; trying again", zap.String("of", s.what), zap.Error(err))
		}
		pause(ctx, 200*time.Millisecond)
	}
}

// once lists, then watches until the watch ends.
func (s source[T]) once(ctx context.Context) error {
	all, version, err := s.load(ctx)
	if err != nil {
		return err
	}
	w, err := s.watch(ctx, metav1.ListOptions{ResourceVersion: version})
	if err != nil {
		return fmt.Errorf("watch %s: %w", s.what, err)
	}
	defer w.Stop()
	s.apply(maps.Clone(all))
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, open := <-w.ResultChan():
			if !open {
				return nil
			}
			item, ok := e.Object.(T)
			switch {
			case e.Type == watch.Error:
				return apierrors.FromObject(e.Object)
			case !ok || e.Type == watch.Bookmark:
				continue
			case e.Type == watch.Deleted:
				delete(all, item.GetName())
			default:
				all[item.GetName()] = item
			}
			s.apply(maps.Clone(all))
		}
	}
}
