package drill

// Refusal says why a run is not started, or not yet: something outside drill must be mended first. Nothing was touched.
type Refusal struct {
	Code string // machine-readable, snake_case
	Text string // what, where, and what to do
	Err  error  // the cause, or nil
}

func (r *Refusal) Error() string {
	if r.Err != nil {
		return r.Text + ": " + r.Err.Error()
	}
	return r.Text
}

func (r *Refusal) Unwrap() error { return r.Err }
