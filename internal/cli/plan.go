package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/faults"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/report"
	"github.com/failoverdrill/drill/internal/targets"
)

func planCommand(env *Env) *cobra.Command {
	var cluster clusterFlags
	var name, output string
	c := &cobra.Command{
		Use: "plan FILE", Short: "Show what a drill would touch, in the cluster as it is now; reads only",
		Long: `Show the members, the victim, what would be done and what puts it back, and which rights you lack.
Nothing is written and nobody is logged in to: roles are by label here. A run asks every member itself, right before the fault.
The exit code is 0 when the run could start, and 11 when it would be refused.`,
		Example: "  drill plan drills/kill-primary.hcl",
		Args:    exactArgs(1, "one drill file"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			d, _, err := oneDrill(env, args[0], name)
			if err != nil {
				return err
			}
			client, err := cluster.connect()
			if err != nil {
				return err
			}
			p, err := makePlan(c.Context(), client, d)
			if err != nil {
				return err
			}
			return p.show(env, output)
		},
	}
	cluster.add(c)
	outputFlag(c, &output)
	c.Flags().StringVar(&name, "drill", "", "the drill to plan, when the file holds several")
	return c
}

// plan is what a run would find and do, as far as the cluster alone can tell.
type plan struct {
	Drill   string            `json:"drill"`
	Cluster string            `json:"cluster"`
	Members []drill.Member    `json:"members"`
	Views   *drill.Views      `json:"views,omitempty"`
	Probes  []drill.ProbeInfo `json:"probes"` // the drill's own
	Faults  []drill.FaultPlan `json:"faults"`
	Trials  int               `json:"trials"`
	Stagger drill.Seconds     `json:"stagger_seconds"`
	Refused []string          `json:"refused"` // why a run would be refused now
}

// labelled is a target whose primary is whom the labels call so.
type labelled struct{ members []drill.Member }

func (l labelled) Primary(context.Context) (drill.Member, error) {
	var found []drill.Member
	for _, m := range l.members {
		if m.Role == drill.RolePrimary {
			found = append(found, m)
		}
	}
	if len(found) != 1 {
		return drill.Member{}, &drill.Refusal{Code: "no_one_primary", Text: fmt.Sprintf("%d members are labelled primary, and there must be one", len(found))}
	}
	return found[0], nil
}

func (l labelled) Members(context.Context) ([]drill.Member, error) { return l.members, nil }

func (labelled) Answers(context.Context, drill.Member) bool { return false }

func makePlan(ctx context.Context, client *kube.Client, d *drill.Drill) (*plan, error) {
	p := &plan{Drill: d.Name, Trials: d.Repeat, Stagger: drill.Seconds(d.Stagger.Seconds()), Cluster: client.Context, Members: []drill.Member{}, Probes: []drill.ProbeInfo{}, Faults: []drill.FaultPlan{}, Refused: []string{}}
	refuse := func(err error) error {
		if refusal, ok := errors.AsType[*drill.Refusal](err); ok {
			p.Refused = append(p.Refused, refusal.Error())
			return nil
		}
		return err
	}
	p.Refused = append(p.Refused, unavailable(d)...)
	x := execution{client: client, drill: d, log: zap.NewNop()}
	probes, err := x.probes()
	if err != nil {
		return p, refuse(err)
	}
	for _, probe := range probes {
		p.Probes = append(p.Probes, probe.Info())
	}
	spec := d.Targets[0]
	kind, _ := targets.Find(spec.Kind)
	target := kind.Bind(targets.Deps{Run: "plan", Kube: client, Secret: x.secret}, spec.Name, spec.Spec)
	home := kind.Namespaces(spec.Spec)[0]
	if p.Members, p.Views, err = target.Look(ctx); err != nil {
		return p, refuse(err)
	}
	if v := p.Views; v != nil && (len(v.Label) != 1 || len(v.Service) != 1 || v.Label[0] != v.Service[0]) {
		p.Refused = append(p.Refused, fmt.Sprintf("the views do not agree on one primary: by label %s, by service %s", names(v.Label), names(v.Service)))
	}
	for _, f := range d.Faults {
		kind, _ := faults.Find(f.Kind)
		deps := faults.Deps{Run: "plan", Kube: client, Target: func(name string) (faults.Target, bool) { return labelled{p.Members}, name == spec.Name },
			Namespace: home}
		_, fp, err := kind.Bind(deps, f.Name, f.Spec).Plan(ctx)
		if err != nil {
			if err := refuse(err); err != nil {
				return nil, err
			}
			continue
		}
		p.Faults = append(p.Faults, fp)
	}
	for _, c := range checkGuards(ctx, d, p.Faults) {
		if !c.Holds {
			p.Refused = append(p.Refused, c.Why)
		}
	}
	return p, p.rights(ctx, client, needsOf(d))
}

// rights adds what the requester may not do: the server would refuse the run.
func (p *plan) rights(ctx context.Context, client *kube.Client, need needs) error {
	var rights []kube.Right
	for _, ns := range need.namespaces {
		for _, f := range need.faults {
			rights = append(rights, kube.MayInject(f, ns))
		}
	}
	for _, s := range need.secrets {
		rights = append(rights, kube.MayReadSecret(s.Namespace, s.Name))
	}
	for _, p := range need.reads {
		rights = append(rights, kube.Right{Permission: p})
	}
	denied, err := client.Denied(ctx, rights)
	if err != nil {
		return err
	}
	for _, r := range denied {
		p.Refused = append(p.Refused, "you may not "+r.String())
	}
	return nil
}

func (p *plan) show(env *Env, output string) error {
	if output == outputJSON {
		raw, err := json.MarshalIndent(p, "", "  ")
		if err != nil {
			return fmt.Errorf("write the plan: %w", err)
		}
		fmt.Fprintf(env.Stdout, "%s\n", raw)
	} else {
		p.text(env)
	}
	if len(p.Refused) > 0 {
		return silent{exitRefused}
	}
	return nil
}

func (p *plan) text(env *Env) {
	w := env.Stdout
	title := "Members (roles by label)"
	if p.Views == nil {
		title = "Members"
	}
	fmt.Fprintf(w, "Drill %s on %s\n\n%s\n", p.Drill, p.Cluster, title)
	for _, m := range p.Members {
		role := fmt.Sprintf("%-9s ", m.Role)
		if p.Views == nil {
			role = ""
		}
		fmt.Fprintf(w, "  %s%s/%s  node %s  zone %s  uid %s\n", role, m.Namespace, m.Name, m.Node, m.Zone, m.UID)
	}
	if len(p.Probes) > 0 {
		fmt.Fprintln(w, "\nProbes beside the target's own; each must work before the fault")
	}
	for _, i := range p.Probes {
		fmt.Fprintf(w, "  %-10s %s  every %s\n", i.Kind, i.Name, i.Interval)
	}
	fmt.Fprintln(w, "\nIn this order")
	for i, f := range p.Faults {
		fmt.Fprintf(w, "  %d. %s\n     undo: %s\n", i+1, f.Sentence, f.Undo)
	}
	if p.Stagger > 0 {
		fmt.Fprintf(w, "\nA random delay of up to %s comes before it.\n", report.Seconds(p.Stagger))
	}
	if p.Trials > 1 {
		fmt.Fprintf(w, "\nAll this %d times, one run after the other, each from its own steady state.\n", p.Trials)
	}
	if len(p.Refused) == 0 {
		fmt.Fprintln(w, "\nA run could start now. Nothing was touched.")
		return
	}
	fmt.Fprintln(w, "\nA run would be refused now:")
	for _, r := range p.Refused {
		fmt.Fprintf(w, "  - %s\n", r)
	}
}
