package drill

// Readiness is who of a target can serve, from a moment on: the payload of EventMembers. A target without roles reports
// it in place of the views of who is primary.
type Readiness struct {
	Target    string   `json:"target"`
	Desired   int      `json:"desired"`   // how many members their controller wants
	Ready     []Member `json:"ready"`     // the pods that are Ready and not being deleted
	Endpoints []Member `json:"endpoints"` // those that the Service leads to; an address in place of a name when it is no pod's
	Budgets   []Budget `json:"budgets,omitempty"`
}

// Budget is a PodDisruptionBudget that covers members.
type Budget struct {
	Name    string `json:"name"`
	Rule    string `json:"rule"`    // as the object says it: "maxUnavailable 1"
	Allowed int    `json:"allowed"` // how many evictions it allows now
	Covers  int    `json:"covers"`  // how many of the target's pods it selects
}
