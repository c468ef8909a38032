package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/failoverdrill/drill/internal/kube"
)

// limitFlags are the limits of the cluster's owner as drill install takes them: texts, as in the ConfigMap.
type limitFlags struct {
	single map[string]*string
	kinds  []string
	probes []string
}

func (f *limitFlags) add(c *cobra.Command) {
	def := kube.DefaultLimits().Data()
	f.single = map[string]*string{}
	for _, one := range []struct{ name, usage string }{
		{kube.LimitTimeout, "limit: the highest timeout of a drill"},
		{kube.LimitHold, "limit: the longest time for which a fault may be held"},
		{kube.LimitMembers, "limit: how many members one run may hurt"},
		{kube.LimitShare, "limit: which share of its target's members one run may hurt; one is always allowed"},
		{kube.LimitNodeShare, "limit: which share of the nodes one run may change; one is always allowed"},
	} {
		f.single[one.name] = c.Flags().String(one.name, "", one.usage+" (default "+def[one.name]+")")
	}
	c.Flags().StringArrayVar(&f.kinds, kube.LimitKinds, nil, "limit: NAMESPACE=KIND,KIND, the kinds of fault allowed there; * is every other namespace (repeatable; default all)")
	c.Flags().StringSliceVar(&f.probes, kube.LimitProbes, nil,
		"limit: an address, CIDR or host that probes may reach although it is denied: loopback, link-local, nodes, API server (repeatable)")
}

// given are the limits whose flags were given, as data of the ConfigMap.
func (f *limitFlags) given(c *cobra.Command) (map[string]string, error) {
	set := map[string]string{}
	for name, text := range f.single {
		if c.Flags().Changed(name) {
			set[name] = *text
		}
	}
	if c.Flags().Changed(kube.LimitKinds) {
		set[kube.LimitKinds] = strings.TrimSpace(strings.Join(f.kinds, "\n"))
	}
	if c.Flags().Changed(kube.LimitProbes) {
		set[kube.LimitProbes] = strings.Join(f.probes, "\n")
	}
	try := map[string]string{}
	for name, text := range set {
		if text != "" {
			try[name] = text
		}
	}
	limits, err := kube.ParseLimits(try)
	if bad, ok := kube.AsLimitError(err); ok {
		return nil, withCode(exitUsage, "--%s", strings.Join(bad.Problems, "; --"))
	}
	if err != nil {
		return nil, err
	}
	return set, knownKinds(limits)
}
