package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// SweepAgents deletes the agents, and the Secrets of agents, whose run has finished, is gone, or is another one of the same
// name. It returns what it deleted. It may be repeated, by any process.
func SweepAgents(ctx context.Context, client kubernetes.Interface, runs *Runs) (removed []string, err error) {
	options := metav1.ListOptions{LabelSelector: labels.Set{LabelManagedBy: ManagedBy, LabelComponent: componentAgent}.String()}
	pods, err := client.CoreV1().Pods(AgentNamespace).List(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("list the agents: %w", err)
	}
	secrets, err := client.CoreV1().Secrets(AgentNamespace).List(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("list the agents' Secrets: %w", err)
	}
	// The runs are asked after that: one that is over by now makes no more agents.
	over := map[string]bool{}
	var errs []error
	sweep := func(meta *metav1.ObjectMeta, what string, remove func(metav1.DeleteOptions) error) {
		gone, err := runs.agentsOver(ctx, over, meta)
		if err == nil && gone {
			err = remove(metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &meta.UID}})
			if err == nil {
				removed = append(removed, what+" "+meta.Name)
			}
			if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
				err = nil
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("remove %s %s: %w", what, meta.Name, err))
		}
	}
	for i := range pods.Items {
		pod := &pods.Items[i].ObjectMeta
		sweep(pod, "pod", func(o metav1.DeleteOptions) error {
			o.GracePeriodSeconds = new(int64(agentGrace))
			return client.CoreV1().Pods(AgentNamespace).Delete(ctx, pod.Name, o)
		})
	}
	for i := range secrets.Items {
		secret := &secrets.Items[i].ObjectMeta
		sweep(secret, "Secret", func(o metav1.DeleteOptions) error {
			return client.CoreV1().Secrets(AgentNamespace).Delete(ctx, secret.Name, o)
		})
	}
	slices.Sort(removed)
	return removed, errors.Join(errs...)
}

// agentsOver reports whether the run of an agent needs it no more. It asks once for each run.
func (s *Runs) agentsOver(ctx context.Context, known map[string]bool, agent *metav1.ObjectMeta) (bool, error) {
	name, uid := agent.Labels[LabelRun], types.UID(agent.Labels[LabelRunUID])
	key := name + "\x00" + string(uid)
	if over, ok := known[key]; ok {
		return over, nil
	}
	run, err := s.Get(ctx, name)
	switch {
	case name == "", apierrors.IsNotFound(err):
		known[key] = true
	case err != nil:
		return false, err
	default:
		known[key] = run.UID != uid || run.Finished()
	}
	return known[key], nil
}
