package drill

import "encoding/json"

// Inputs are what a drill file took from outside itself, so that another process reads the file alike. Only what the file
// really used is in it.
type Inputs struct {
	Variables map[string]json.RawMessage `json:"variables,omitempty"` // by name; the variable's type says what the JSON means
	Env       map[string]string          `json:"env,omitempty"`
	Files     map[string]string          `json:"files,omitempty"` // contents by path, as the file gives it
}

// Empty reports whether the file took nothing from outside.
func (i Inputs) Empty() bool { return len(i.Variables)+len(i.Env)+len(i.Files) == 0 }
