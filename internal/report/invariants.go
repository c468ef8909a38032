package report

import (
	"fmt"

	"github.com/failoverdrill/drill/internal/drill"
)

// invariants says how those stood that the drill asked for.
func (p *page) invariants(r *drill.InvariantsReport) {
	p.section("Invariants")
	for _, i := range drill.Invariants() {
		if _, asked := r.Checked[i.Check]; !asked {
			continue
		}
		switch i.Objective {
		case drill.ObjectiveReadOutage:
			p.length("no reads", r.ReadOutage, "reads could always be had")
		case drill.ObjectiveStaleness:
			p.length("staleness", r.Staleness, "every read showed all that had been acknowledged")
		case drill.ObjectiveMonotonicReads:
			p.violations("monotonic reads", r.MonotonicReads, r.Checked[i.Check], "read")
		case drill.ObjectiveReadYourWrites:
			p.violations("own writes", r.ReadYourWrites, r.Checked[i.Check], "read")
		case drill.ObjectiveSum:
			p.violations("sum", r.Sum, r.Checked[i.Check], "sum")
		case drill.ObjectiveRegister:
			p.violations("register", r.Register, r.Checked[i.Check], "operation")
		}
	}
}

// length is a length of time that is 0 when all is well.
func (p *page) length(name string, b *drill.Bounds, well string) {
	if b != nil && b.Upper == 0 {
		p.row(name, well, green)
		return
	}
	p.row(name, bounds(b))
}

func (p *page) violations(name string, n *int, checked int, one string) {
	switch {
	case n == nil:
		p.row(name, "unknown", yellow)
	case *n == 0:
		p.row(name, fmt.Sprintf("holds, in %s", plural(checked, one)), green)
	default:
		p.row(name, fmt.Sprintf("%s, in %s", plural(*n, "violation"), plural(checked, one)), bold, red)
	}
}
