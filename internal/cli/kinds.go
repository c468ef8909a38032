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
		kinds.Probes = append(kinds.Probes, drillfile.Kind{Name: k.Name, Doc: k.Doc, Table: k.Table, Decode: k.Decode, Attributes: k.Attributes})
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
	for _, p := range d.Probes {
		kind, _ := probes.Find(p.Kind)
		for _, permission := range kind.Permissions(p.Spec) {
			n.permissions = append(n.permissions, permission)
			if !slices.Contains(n.namespaces, permission.Namespace) {
				n.reads = append(n.reads, permission)
			}
		}
	}
	for _, f := range d.Faults {
		for _, ns := range besides(f.Spec) {
			if !slices.Contains(n.namespaces, ns) {
				n.namespaces = append(n.namespaces, ns)
			}
		}
	}
	for _, f := range d.Faults {
		kind, _ := faults.Find(f.Kind)
		n.faults = append(n.faults, f.Kind)
		for _, ns := range n.namespaces {
			n.permissions = append(n.permissions, kind.Permissions(ns)...)
		}
	}
	return n
}

// rights are what the requester must be allowed for the drill to do it: the server asks for the same.
func (n needs) rights() []kube.Right {
	var all []kube.Right
	add := func(r kube.Right) {
		if !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	for _, ns := range n.namespaces {
		for _, f := range n.faults {
			add(kube.MayInject(f, ns))
		}
	}
	for _, s := range n.secrets {
		add(kube.MayReadSecret(s.Namespace, s.Name))
	}
	for _, p := range n.reads {
		add(kube.Right{Permission: p})
	}
	return all
}
