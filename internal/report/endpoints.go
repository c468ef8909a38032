package report

import (
	"fmt"

	"github.com/failoverdrill/drill/internal/drill"
)

// endpoints answers what one asks after pods were lost: did the Service keep somebody to lead to, how soon was a new
// pod Ready, and did a budget matter.
func (p *page) endpoints(r *drill.EndpointsReport) {
	p.section("Endpoints of the Service")
	switch {
	case r.LeastReady == nil || r.Desired == nil:
		p.row("ready", "unknown")
	case *r.LeastReady == 0:
		p.row("ready", fmt.Sprintf("none of %d at the least", *r.Desired), bold, red)
	default:
		p.row("ready", fmt.Sprintf("%d of %d at the least", *r.LeastReady, *r.Desired))
	}
	switch {
	case r.NoEndpoints == nil:
		p.row("without any", "unknown")
	case *r.NoEndpoints == 0:
		p.row("without any", "never")
	default:
		p.row("without any", "for "+seconds(*r.NoEndpoints), bold, red)
	}
	if n := r.NewMember; n != nil {
		text := fmt.Sprintf("the first after %s, all after %s", seconds(n.First), seconds(n.All))
		if never(n.First) {
			text = "never"
		} else if never(n.All) {
			text = fmt.Sprintf("the first after %s, the rest never", seconds(n.First))
		}
		p.row("new pod Ready", text, tone(never(n.All)))
	} else {
		p.row("new pod Ready", "unknown")
	}
	if len(r.Budgets) == 0 {
		p.row("budget", "no PodDisruptionBudget covers these pods")
	}
	for _, b := range r.Budgets {
		p.row("budget", fmt.Sprintf("%s: %s", b.Name, b.Text))
	}
}
