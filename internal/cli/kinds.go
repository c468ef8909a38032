package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/drillfile"
	"github.com/failoverdrill/drill/internal/faults"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/probes"
	"github.com/failoverdrill/drill/internal/targets"
)

// fileKinds are the tables of kinds as the loader of drill files sees them.
func fileKinds() drillfile.Kinds {
	var kinds drillfile.Kinds
	for _, k := range targets.Kinds() {
		kinds.Targets = append(kinds.Targets, drillfile.Kind{Name: k.Name, Doc: k.Doc, Table: k.Table, Decode: k.Decode, Namespaces: k.Namespaces, Attributes: k.Attributes, Probed: k.Probed, NoLedger: k.NoLedger, Checks: k.Checks})
	}
	for _, k := range probes.Kinds() {
		kinds.Probes = append(kinds.Probes, drillfile.Kind{Name: k.Name, Doc: k.Doc, Table: k.Table, Decode: k.Decode, Rate: paced, Attributes: k.Attributes})
	}
	for _, k := range faults.Kinds() {
		kinds.Faults = append(kinds.Faults, drillfile.Kind{Name: k.Name, Doc: k.Doc, Table: k.Table, Decode: k.Decode, Namespaces: besides, Hold: holds, Check: suits(k.Name)})
	}
	return kinds
}

// besides are the namespaces that a fault touches beside those of its target.
func besides(spec any) []string {
	if s, ok := spec.(interface{ Namespaces() []string }); ok {
		return s.Namespaces()
	}
	return nil
}

// paced is how often a probe asks in a second; one that does not say so asks rarely.
func paced(spec any) int {
	if s, ok := spec.(interface{ PerSecond() int }); ok {
		return s.PerSecond()
	}
	return 0
}

// holds is how long a fault stays before it is reverted.
func holds(spec any) time.Duration {
	if s, ok := spec.(interface{ Holds() time.Duration }); ok {
		return s.Holds()
	}
	return 0
}

// suits returns what says why a fault of the kind cannot be in its drill.
func suits(kind string) func(spec any, name string, all []drill.TargetSpec) string {
	return func(spec any, name string, all []drill.TargetSpec) string {
		wrong := faultHasTarget(spec, name, all)
		if led, ok := spec.(interface{ NeedsRoles() bool }); wrong != "" || !ok || !led.NeedsRoles() {
			return wrong
		}
		named, _ := spec.(ofTarget)
		for _, t := range all {
			if named != nil && named.TargetName(name, targetNames(all)) != t.Name {
				continue
			}
			if k, ok := targets.Find(t.Kind); ok && k.NoLedger {
				return fmt.Sprintf("The members of a target of kind %s have no roles, and this %s asks for one. Use pod_kill without role.", t.Kind, kind)
			}
		}
		return ""
	}
}

// faultHasTarget says what is wrong when a fault names no target of its drill.
func faultHasTarget(spec any, name string, all []drill.TargetSpec) string {
	named, ok := spec.(ofTarget)
	if !ok {
		return ""
	}
	have := targetNames(all)
	want := named.TargetName(name, have)
	if slices.Contains(have, want) {
		return ""
	}
	return fmt.Sprintf("No target is called %q. Give the fault the name of its target, or set target to it. The drill's targets: %s.",
		want, strings.Join(have, ", "))
}

// ofTarget is the spec of a fault whose victims are members of a target.
type ofTarget interface {
	TargetName(fault string, all []string) string
}

func targetNames(all []drill.TargetSpec) []string {
	var names []string
	for _, t := range all {
		names = append(names, t.Name)
	}
	return names
}

// needs is what a drill wants of the cluster, known from its file alone.
type needs struct {
	namespaces  []string
	secrets     []targets.SecretRef
	permissions []drill.Permission
	reads       []drill.Permission // those of probes in namespaces without a target, which nothing else says anything about
	faults      []string
	pods        []podSet
}

// podSet are the pods of a target.
type podSet struct{ namespace, selector string }

// needsOf is linear in what it returns, and names everything once: what a file holds is not trusted.
func needsOf(d *drill.Drill) needs {
	var n needs
	for _, t := range d.Targets {
		kind, _ := targets.Find(t.Kind)
		n.namespaces = append(n.namespaces, kind.Namespaces(t.Spec)...)
		n.secrets = append(n.secrets, kind.Secrets(t.Spec)...)
		n.permissions = append(n.permissions, kind.Permissions(t.Spec)...)
		if named, ok := t.Spec.(interface {
			Pods() (namespace, selector string)
		}); ok {
			ns, selector := named.Pods()
			n.pods = append(n.pods, podSet{ns, selector})
		}
	}
	ofTargets := n.namespaces
	for _, p := range d.Probes {
		kind, _ := probes.Find(p.Kind)
		for _, permission := range kind.Permissions(p.Spec) {
			n.permissions = append(n.permissions, permission)
			if !slices.Contains(ofTargets, permission.Namespace) {
				n.reads = append(n.reads, permission)
			}
		}
	}
	for _, f := range d.Faults {
		n.namespaces = append(n.namespaces, besides(f.Spec)...)
		n.faults = append(n.faults, f.Kind)
	}
	n.namespaces, n.faults = once(n.namespaces), once(n.faults)
	for _, name := range n.faults {
		kind, _ := faults.Find(name)
		for _, ns := range n.namespaces {
			n.permissions = append(n.permissions, kind.Permissions(ns)...)
		}
	}
	n.secrets, n.permissions, n.reads = once(n.secrets), once(n.permissions), once(n.reads)
	return n
}

// once returns the first of each, in their order.
func once[T comparable](all []T) []T {
	var kept []T
	seen := make(map[T]bool, len(all))
	for _, x := range all {
		if !seen[x] {
			seen[x] = true
			kept = append(kept, x)
		}
	}
	return kept
}

// names are the Secrets that are read.
func (n needs) names() []kube.SecretName {
	var all []kube.SecretName
	for _, s := range n.secrets {
		all = append(all, kube.SecretName{Namespace: s.Namespace, Name: s.Name})
	}
	return all
}

// rights are what the requester must be allowed for the drill to do it: the server asks for the same.
func (n needs) rights() []kube.Right {
	return kube.RunRights(n.namespaces, n.faults, n.names(), n.reads)
}
