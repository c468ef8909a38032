package cli

import (
	"fmt"
	"strings"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/drillfile"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/server"
)

// admission reads a requested run's drill file for the server: what must the requester be allowed to do?
func admission(env *Env) func(kube.Spec) (server.Request, error) {
	return func(spec kube.Spec) (server.Request, error) {
		drills, err := drillReader(env)(spec.File, spec.Source)
		if err != nil {
			return server.Request{}, err
		}
		for _, d := range drills {
			if d.Name != spec.Drill {
				continue
			}
			need := needsOf(d)
			request := server.Request{Namespaces: need.namespaces, FaultKinds: need.faults, Reads: need.reads, Timeout: d.Timeout, Trials: d.Repeat}
			for _, s := range need.secrets {
				request.Secrets = append(request.Secrets, server.Secret{Namespace: s.Namespace, Name: s.Name})
			}
			for _, p := range need.pods {
				request.Avoid = append(request.Avoid, server.Pods{Namespace: p.namespace, Selector: p.selector})
			}
			return request, nil
		}
		return server.Request{}, fmt.Errorf("%s holds no drill %q", spec.File, spec.Drill)
	}
}

// firstFault is the kind of the first fault of a requested run's drill, for the label of its metrics.
func firstFault(spec kube.Spec) string {
	file, diags := drillfile.Load(spec.File, []byte(spec.Source), fileKinds(), drillfile.Inputs{})
	if diags.HasErrors() {
		return ""
	}
	for _, d := range file.Drills {
		if d.Name == spec.Drill && len(d.Faults) > 0 {
			return d.Faults[0].Kind
		}
	}
	return ""
}

// drillReader reads a drill file for the server, and shows its problems in the log.
func drillReader(env *Env) func(file, source string) ([]*drill.Drill, error) {
	return func(path, source string) ([]*drill.Drill, error) {
		file, diags := drillfile.Load(path, []byte(source), fileKinds(), drillfile.Inputs{})
		if !diags.HasErrors() {
			return file.Drills, nil
		}
		showDiagnostics(env, file.Files, diags)
		var all []string
		for _, d := range diags.Errs() {
			all = append(all, d.Error())
		}
		return nil, fmt.Errorf("the drill file is invalid: %s", strings.Join(all, "; "))
	}
}
