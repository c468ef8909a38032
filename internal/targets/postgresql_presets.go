package targets

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// preset is how one operator labels its pods' roles.
type preset struct {
	name    string
	label   string
	primary []string // the label's values on a primary; versions differ
}

// presets are tried in this order when a drill names none, so the label that others use too comes last.
func presets() []preset {
	return []preset{
		{"cloudnativepg", "cnpg.io/instanceRole", []string{"primary"}},
		{"crunchy", "postgres-operator.crunchydata.com/role", []string{"master", "primary"}},
		{"zalando", "spilo-role", []string{"master", "primary"}},
		{"patroni", "role", []string{"master", "primary"}},
	}
}

func presetNames() []string {
	var names []string
	for _, p := range presets() {
		names = append(names, p.name)
	}
	return names
}

func findPreset(name string) (preset, bool) {
	i := slices.IndexFunc(presets(), func(p preset) bool { return p.name == name })
	if i < 0 {
		return preset{}, false
	}
	return presets()[i], true
}

// detectPreset returns the first preset whose label one of the pods carries.
func detectPreset(pods []*corev1.Pod) (preset, bool) {
	for _, p := range presets() {
		for _, pod := range pods {
			if _, ok := pod.Labels[p.label]; ok {
				return p, true
			}
		}
	}
	return preset{}, false
}

// leads reports whether the pod's label calls it the primary.
func (p preset) leads(pod *corev1.Pod) bool {
	return slices.Contains(p.primary, pod.Labels[p.label])
}
