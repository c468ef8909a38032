package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/faults"
)

func planCommand(env *Env) *cobra.Command {
	var cluster clusterFlags
	var name, output string
	var inputs inputFlags
	c := &cobra.Command{
		Use: "plan FILE", Short: "Show what a drill would touch, in the cluster as it is now; reads only",
		Long: `Show what would be touched, in which order and when; what puts it back, and what nothing puts back; which guards hold now;
which conditions a run is judged by; and which rights you and the runner lack.
Nothing is written and nobody is logged in to: roles are by label here. A run asks every member itself, right before the fault.
The exit code is 0 when nothing that can be seen from here keeps a run from starting, and 11 when it would be refused.`,
		Example: "  drill plan drills/kill-primary.hcl\n  drill plan drills/kill-primary.hcl --output json | jq .faults",
		Args:    exactArgs(1, "one drill file"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			d, err := oneDrill(env, args[0], name, &inputs)
			if err != nil {
				return err
			}
			p, err := planOn(c.Context(), &cluster, d)
			if err != nil && len(d.Unavailable) > 0 { // such a drill is refused, whatever the cluster would say
				return d.showRefused(env, output, err)
			}
			if err != nil {
				return err
			}
			return p.show(env, output)
		},
	}
	cluster.add(c)
	outputFlag(c, &output)
	inputs.add(c)
	c.Flags().StringVar(&name, "drill", "", "the drill to plan, when the file holds several")
	return c
}

// plan is what a run would find and do, as far as the cluster alone can tell. docs/plan.md explains its JSON.
type plan struct {
	Drill       string `json:"drill"`
	Description string `json:"description,omitempty"`
	File        string `json:"file"`
	Cluster     string `json:"cluster"`
	Inputs      inputs `json:"inputs"`

	Targets []plannedTarget `json:"targets"`
	Probes  []plannedProbe  `json:"probes"` // the drill's own
	Faults  []plannedFault  `json:"faults"` // in the order of their injection
	Nodes   []plannedNode   `json:"nodes"`  // that a fault is on
	Makes   []string        `json:"makes"`  // of drill's own, for the run
	Timing  timing          `json:"timing"`

	Preconditions []plannedRule `json:"preconditions"`
	SteadyState   []plannedRule `json:"steady_state"`
	Aborts        []plannedRule `json:"aborts"`
	Guards        []guardState  `json:"guards"`
	Rights        []holderLacks `json:"rights"`

	Refused []refused `json:"refused"` // why a run would be refused now
	Unknown []string  `json:"unknown"` // what could not be found out from here, and why
}

// inputs are what the file took from outside. What is secret is named, and not shown.
type inputs struct {
	Variables map[string]drill.VariableValue `json:"variables"` // that were given a value
	Env       []string                       `json:"env"`       // names
	Files     []string                       `json:"files"`     // paths
}

func inputsOf(d *loaded) inputs {
	in := inputs{Variables: map[string]drill.VariableValue{}, Env: []string{}, Files: []string{}}
	maps.Copy(in.Variables, d.variables())
	for _, from := range []drill.Inputs{d.open, d.secret} {
		in.Env = slices.AppendSeq(in.Env, maps.Keys(from.Env))
		in.Files = slices.AppendSeq(in.Files, maps.Keys(from.Files))
	}
	slices.Sort(in.Env)
	slices.Sort(in.Files)
	return in
}

// plannedTarget is a target with whom it has now.
type plannedTarget struct {
	Kind    string           `json:"kind"`
	Name    string           `json:"name"`
	Members []drill.Member   `json:"members"`
	Views   *drill.Views     `json:"views,omitempty"`   // who is primary, by label and by Service
	Serving *drill.Readiness `json:"serving,omitempty"` // of a target without roles

	seen bool // nothing kept it from being looked at
}

// plannedProbe is a probe of the drill's own.
type plannedProbe struct {
	Kind  string        `json:"kind"`
	Name  string        `json:"name"`
	Every drill.Seconds `json:"interval_seconds"`
}

// plannedFault is a fault with its victims of now.
type plannedFault struct {
	Kind     string         `json:"kind"`
	Name     string         `json:"name"`
	Method   string         `json:"method,omitempty"`
	Sentence string         `json:"sentence"`
	Victims  []drill.Member `json:"victims"`
	Nodes    []string       `json:"nodes"`
	Agents   []string       `json:"agents"`              // the nodes on which an agent is put
	At       drill.Seconds  `json:"at_seconds"`          // after the first injection
	Hold     drill.Seconds  `json:"hold_seconds"`        // after which it is reverted; 0: there is nothing to hold
	Beside   []string       `json:"beside"`              // what it does beside its victims
	Undo     string         `json:"undo"`                // what puts it back, and what cannot be put back
	Heals    faults.Healing `json:"heals"`               // who, when what should is gone
	NotNow   string         `json:"not_found,omitempty"` // why it cannot be planned; then there are no victims
}

// plannedNode is a node that a fault is on.
type plannedNode struct {
	Name     string `json:"name"`
	UID      string `json:"uid,omitempty"` // empty when you may not read it
	Zone     string `json:"zone,omitempty"`
	Cordoned bool   `json:"cordoned"`
}

// refused is a reason for which a run would be refused.
type refused struct {
	Code string `json:"code"`
	Text string `json:"text"`
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
}

func (r refused) String() string {
	if r.Line == 0 {
		return r.Text
	}
	return fmt.Sprintf("%s:%d: %s", r.File, r.Line, r.Text)
}

func (p *plan) refuse(code, format string, args ...any) {
	p.Refused = append(p.Refused, refused{Code: code, Text: fmt.Sprintf(format, args...)})
}

func (p *plan) unknown(format string, args ...any) {
	p.Unknown = append(p.Unknown, fmt.Sprintf(format, args...))
}

// planOn plans a drill on a cluster.
func planOn(ctx context.Context, cluster *clusterFlags, d *loaded) (*plan, error) {
	client, err := cluster.connect()
	if err != nil {
		return nil, err
	}
	return makePlan(ctx, client, d)
}

// newPlan is what the file alone says.
func newPlan(read *loaded) *plan {
	d := read.Drill
	p := &plan{Drill: d.Name, Description: d.Description, File: d.File, Inputs: inputsOf(read),
		Targets: []plannedTarget{}, Probes: []plannedProbe{}, Faults: []plannedFault{}, Nodes: []plannedNode{}, Makes: []string{},
		Timing: timing{Moments: []moment{}}, Preconditions: []plannedRule{}, SteadyState: []plannedRule{}, Aborts: []plannedRule{},
		Guards: []guardState{}, Rights: []holderLacks{}, Refused: []refused{}, Unknown: []string{}}
	for _, u := range d.Unavailable {
		p.Refused = append(p.Refused, refused{Code: "not_available", Text: u.Text, File: u.File, Line: u.Line})
	}
	return p
}

// showRefused is the plan of a drill that asks for what this version cannot do, on a cluster that cannot be looked at.
func (l *loaded) showRefused(env *Env, output string, why error) error {
	if output != outputJSON {
		env.status("The cluster could not be looked at: %s", sentence(why.Error()))
		return refuseUnavailable(l.Drill)
	}
	p := newPlan(l)
	p.unknown("All that the cluster knows: it could not be looked at: %s", sentence(why.Error()))
	return p.show(env, output)
}

func (p *plan) show(env *Env, output string) error {
	if output == outputJSON {
		w := json.NewEncoder(env.Stdout)
		w.SetEscapeHTML(false) // conditions have < and >
		w.SetIndent("", "  ")
		if err := w.Encode(p); err != nil {
			return fmt.Errorf("write the plan: %w", err)
		}
	} else {
		fmt.Fprint(env.Stdout, p.text())
	}
	if len(p.Refused) > 0 {
		return silent{exitRefused}
	}
	return nil
}
