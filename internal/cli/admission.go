package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/drillfile"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/server"
	"github.com/failoverdrill/drill/internal/targets"
)

// admission reads a requested run's drill file for the server: what must the requester be allowed to do?
func admission(env *Env) func(kube.Spec, drill.Inputs) (server.Request, error) {
	return func(spec kube.Spec, in drill.Inputs) (server.Request, error) {
		file, err := read(env, spec.File, spec.Source, drillfile.Recorded(in))
		if err != nil {
			return server.Request{}, err
		}
		for _, d := range file.Drills {
			if d.Name != spec.Drill {
				continue
			}
			need := needsOf(d)
			request := server.Request{Namespaces: need.namespaces, FaultKinds: need.faults, Secrets: need.names(), Reads: need.reads, Timeout: d.Timeout, Trials: d.Repeat,
				Asked: asked(d), Schedule: d.Schedule}
			for _, t := range d.Targets {
				if kind, ok := targets.Find(t.Kind); ok && !kind.NoLedger {
					request.Ledgers = append(request.Ledgers, t.Name)
				}
			}
			for _, p := range need.pods {
				request.Avoid = append(request.Avoid, server.Pods{Namespace: p.namespace, Selector: p.selector})
			}
			return request, nil
		}
		return server.Request{}, fmt.Errorf("%s holds no drill %q", spec.File, spec.Drill)
	}
}

// read reads a drill file for the server, and shows its problems in the log.
func read(env *Env, path, source string, in drillfile.Inputs) (*drillfile.File, error) {
	file, diags := drillfile.Load(path, []byte(source), fileKinds(), in)
	return file, invalid(env, file.Files, diags)
}

// invalid is the error of a drill file with problems, nil without.
func invalid(env *Env, files map[string]*hcl.File, diags hcl.Diagnostics) error {
	if !diags.HasErrors() {
		return nil
	}
	showDiagnostics(env, files, diags)
	var all []string
	for _, d := range diags.Errs() {
		all = append(all, d.Error())
	}
	return fmt.Errorf("the drill file is invalid: %s", strings.Join(all, "; "))
}

// drillReader reads drill files that are scheduled. They run when nobody is there: what they take from outside is what
// their source gives, and none of it is secret.
func drillReader(env *Env) func(server.Source) ([]*drill.Drill, kube.Inputs, error) {
	return func(from server.Source) ([]*drill.Drill, kube.Inputs, error) {
		var in drillfile.Inputs
		if from.Recorded != "" {
			var recorded drill.Inputs
			if err := json.Unmarshal([]byte(from.Recorded), &recorded); err != nil {
				return nil, kube.Inputs{}, fmt.Errorf("%s is not what drill schedule add stores: %w", from.File+kube.RecordedExt, err)
			}
			in = drillfile.Recorded(drill.Inputs{Variables: recorded.Variables})
		} else {
			for _, path := range slices.Sorted(maps.Keys(from.Beside)) {
				values, file, diags := drillfile.ReadVariables(path, []byte(from.Beside[path]), true)
				if err := invalid(env, map[string]*hcl.File{path: file}, diags); err != nil {
					return nil, kube.Inputs{}, err
				}
				in.Given = append(in.Given, values...)
			}
		}
		file, err := read(env, from.File, from.Text, in)
		if err != nil {
			return nil, kube.Inputs{}, err
		}
		if what := secretsOf(file.Secret); what != "" {
			return nil, kube.Inputs{}, fmt.Errorf("it takes %s along, which a ConfigMap must not hold. %s", what, useSecret)
		}
		inputs, _, err := kube.SealInputs(file.Open, drill.Inputs{})
		return file.Drills, inputs, err
	}
}

// useSecret is what to do instead of giving a scheduled drill a secret value.
const useSecret = "Store the value in a Kubernetes Secret beside the target, and call secret(\"NAME\", \"KEY\") in the drill file: a run reads it when it is due"

// secretsOf names what is secret in a file's inputs, "" when nothing is.
func secretsOf(in drill.Inputs) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(in.Variables)) {
		all = append(all, "a value of the sensitive variable "+name)
	}
	for _, name := range slices.Sorted(maps.Keys(in.Env)) {
		all = append(all, fmt.Sprintf("env(%q)", name))
	}
	for _, path := range slices.Sorted(maps.Keys(in.Files)) {
		all = append(all, fmt.Sprintf("file(%q)", path))
	}
	return strings.Join(all, " and ")
}
