package faults

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/failoverdrill/drill/internal/drill"
)

// besidePermissions are the rights to find out what a killed pod means to others.
func besidePermissions(namespace string) []drill.Permission {
	return []drill.Permission{
		{Verb: "list", Group: "discovery.k8s.io", Resource: "endpointslices", Namespace: namespace},
		{Verb: "list", Group: "policy", Resource: "poddisruptionbudgets", Namespace: namespace},
	}
}

// besideKilled says what else happens when the pods go: which Services have no ready endpoint left, and whose disruption
// budget is used up. What cannot be read is said, too: it keeps nobody from planning.
func (d Deps) besideKilled(ctx context.Context, victims []drill.Member, asksBudgets bool) []string {
	var all []string
	for _, ns := range namespacesOf(victims) {
		slicesThere, err := d.Kube.DiscoveryV1().EndpointSlices(ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			all = append(all, fmt.Sprintf("Which Services of namespace %s have no other endpoint is not known: %v.", ns, err))
		} else if names := lonely(slicesThere.Items, victims); len(names) > 0 {
			all = append(all, fmt.Sprintf("No ready endpoint is left, until others take over, of Service %s in namespace %s.", strings.Join(names, ", "), ns))
		}
		budgets, err := d.budgets(ctx, ns, victims)
		if err != nil {
			all = append(all, fmt.Sprintf("Which disruption budgets of namespace %s cover the victims is not known: %v.", ns, err))
		} else if len(budgets) > 0 && !asksBudgets {
			all = append(all, fmt.Sprintf("A delete does not ask PodDisruptionBudget %s; until the members are back, others' evictions, such as the drain of a node, may be refused for it.", strings.Join(budgets, ", ")))
		}
	}
	return all
}

func namespacesOf(members []drill.Member) []string {
	all := map[string]bool{}
	for _, m := range members {
		all[m.Namespace] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// lonely are the Services all of whose ready endpoints are among the victims.
func lonely(all []discoveryv1.EndpointSlice, victims []drill.Member) []string {
	behind, others := map[string]bool{}, map[string]bool{}
	for _, s := range all {
		name := s.Labels[discoveryv1.LabelServiceName]
		for _, e := range s.Endpoints {
			switch {
			case name == "" || e.Conditions.Ready != nil && !*e.Conditions.Ready:
			case slices.ContainsFunc(victims, func(m drill.Member) bool { return endpointIs(e, m) }):
				behind[name] = true
			default:
				others[name] = true
			}
		}
	}
	maps.DeleteFunc(behind, func(name string, _ bool) bool { return others[name] })
	return slices.Sorted(maps.Keys(behind))
}

func endpointIs(e discoveryv1.Endpoint, m drill.Member) bool {
	if e.TargetRef != nil && e.TargetRef.UID != "" {
		return string(e.TargetRef.UID) == m.UID
	}
	return m.IP != "" && slices.Contains(e.Addresses, m.IP)
}

// budgets are the disruption budgets that would not allow an eviction of all the victims that they cover.
func (d Deps) budgets(ctx context.Context, ns string, victims []drill.Member) ([]string, error) {
	list, err := d.Kube.PolicyV1().PodDisruptionBudgets(ns).List(ctx, metav1.ListOptions{})
	if err != nil || len(list.Items) == 0 {
		return nil, err
	}
	pods := map[string]labels.Set{}
	for _, v := range victims {
		if v.Namespace != ns {
			continue
		}
		pod, err := d.Kube.CoreV1().Pods(ns).Get(ctx, v.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		pods[v.Name] = pod.Labels
	}
	var all []string
	for _, b := range list.Items {
		selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
		if err != nil {
			continue
		}
		covered := int32(0)
		for _, l := range pods {
			if selector.Matches(l) {
				covered++
			}
		}
		if covered > 0 && b.Status.DisruptionsAllowed < covered {
			all = append(all, fmt.Sprintf("%s (%d allowed now, %d killed)", b.Name, b.Status.DisruptionsAllowed, covered))
		}
	}
	slices.Sort(all)
	return all, nil
}
