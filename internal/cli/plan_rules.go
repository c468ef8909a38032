package cli

import (
	"fmt"

	"github.com/failoverdrill/drill/internal/drill"
)

// plannedRule is a condition of the drill, and what of it can be known before the run.
type plannedRule struct {
	Name      string          `json:"name"`
	Condition string          `json:"condition"`
	State     string          `json:"state"`             // of preconditions and the steady state: whether it holds now
	Message   string          `json:"message,omitempty"` // of one that does not hold now
	For       drill.Seconds   `json:"for_seconds,omitempty"`
	Grace     drill.Seconds   `json:"grace_seconds,omitempty"`
	OnUnknown drill.OnUnknown `json:"on_unknown,omitempty"`
}

// rules lists the drill's conditions. Values that the cluster knows are put into them; the runner judges all others.
func (m *planner) rules() {
	for _, r := range m.drill.Preconditions {
		p := m.judged(r)
		if p.State == stateBroken {
			m.plan.refuse("precondition", "Precondition %s does not hold: %s", r.Name, sentence(p.Message))
		}
		m.plan.Preconditions = append(m.plan.Preconditions, p)
	}
	for _, r := range m.drill.SteadyState.Asserts {
		m.plan.SteadyState = append(m.plan.SteadyState, m.judged(r))
	}
	for _, r := range m.drill.Aborts {
		a := plannedRule{Name: r.Name, Condition: conditionText(r), State: stateUnknown, For: drill.Seconds(r.For.Seconds()),
			Grace: drill.Seconds(r.Grace.Seconds()), OnUnknown: r.OnUnknown}
		m.plan.Aborts = append(m.plan.Aborts, a)
	}
}

func (m *planner) judged(r drill.Rule) plannedRule {
	p := plannedRule{Name: r.Name, Condition: conditionText(r), State: stateUnknown}
	truth, message := r.Condition.Evaluate(m.live)
	switch truth {
	case drill.True:
		p.State = stateHolds
	case drill.False:
		p.State, p.Message = stateBroken, message
	case drill.Unknown:
	}
	return p
}

// conditionText is a condition as the file has it.
func conditionText(r drill.Rule) string {
	if s, ok := r.Condition.(fmt.Stringer); ok {
		return s.String()
	}
	return r.Name
}
