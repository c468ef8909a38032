package cli

import (
	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/probes"
	"github.com/failoverdrill/drill/internal/runner"
	"github.com/failoverdrill/drill/internal/targets"
)

// stage stands in for what a run meets beside the Kubernetes API, so that tests can play whole runs in virtual time. Nil,
// which it is outside tests, is the real world.
type stage struct {
	target  targets.Target
	sampler runner.Sampler
	fault   func(kind string, f runner.Fault) runner.Fault
}

func (s *stage) bindTarget(kind targets.Kind, deps targets.Deps, spec drill.TargetSpec) targets.Target {
	if s != nil {
		return s.target
	}
	return kind.Bind(deps, spec.Name, spec.Spec)
}

func (s *stage) bindFault(kind string, f runner.Fault) runner.Fault {
	if s != nil {
		return s.fault(kind, f)
	}
	return f
}

func (s *stage) sample() runner.Sampler {
	if s != nil {
		return s.sampler
	}
	return probes.Sample
}
