package drill

import (
	"encoding/json"
	"maps"
)

// Inputs are what a drill file took from outside itself, so that another process reads the file alike. Only what the file
// really used is in it.
type Inputs struct {
	Variables map[string]json.RawMessage `json:"variables,omitempty"` // by name; the variable's type says what the JSON means
	Env       map[string]string          `json:"env,omitempty"`
	Files     map[string]string          `json:"files,omitempty"` // contents by path, as the file gives it
}

// Empty reports whether the file took nothing from outside.
func (i Inputs) Empty() bool { return len(i.Variables)+len(i.Env)+len(i.Files) == 0 }

// With is both together; of what is in both, the other's counts.
func (i Inputs) With(other Inputs) Inputs {
	both := Inputs{Variables: map[string]json.RawMessage{}, Env: map[string]string{}, Files: map[string]string{}}
	for _, in := range []Inputs{i, other} {
		maps.Copy(both.Variables, in.Variables)
		maps.Copy(both.Env, in.Env)
		maps.Copy(both.Files, in.Files)
	}
	return both
}

// VariableValue is the JSON of a variable's value in a report.
type VariableValue string

// MarshalJSON writes the value itself.
func (v VariableValue) MarshalJSON() ([]byte, error) { return []byte(v), nil }

// UnmarshalJSON keeps the value as it is.
func (v *VariableValue) UnmarshalJSON(b []byte) error {
	*v = VariableValue(b)
	return nil
}
