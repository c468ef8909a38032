package kube

import "maps"

// PriorityClass is that of drill's own pods: they are not evicted for others' sake, and preempt nobody.
const PriorityClass = "failoverdrill"

// NoSidecars are the annotations by which injectors leave a pod alone. A sidecar would be measured along with the target, and
// would keep a runner that is over alive; drill's policy lets in no pod with one.
func NoSidecars() map[string]string {
	return map[string]string{
		"sidecar.istio.io/inject":                        "false",
		"linkerd.io/inject":                              "disabled",
		"vault.hashicorp.com/agent-inject":               "false",
		"cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
	}
}

// WithoutSidecars adds to a pod's labels those by which injectors leave it alone.
func WithoutSidecars(labels map[string]string) map[string]string {
	all := maps.Clone(labels)
	all["sidecar.istio.io/inject"] = "false"
	return all
}
