package drill

// JSON is what to encode in place of the report: the report itself, or one of format version 1 without the keys that came
// after it. To such a report they are zero, and nobody measured that.
func (r Report) JSON() any {
	if r.FormatVersion != "1" || r.Recovery == nil {
		return r
	}
	type plain Report
	return struct {
		plain
		Recovery *recoveryOfVersion1 `json:"recovery"`
	}{plain(r), (*recoveryOfVersion1)(r.Recovery)}
}

// recoveryOfVersion1 is a RecoveryReport with the tags of format version 1; they must have the same fields.
type recoveryOfVersion1 struct {
	Target        string          `json:"target"`
	Outcome       RecoveryOutcome `json:"outcome"`
	HeadlineClass Class           `json:"headline_class"`
	UpWithin      Seconds         `json:"up_within_seconds"`
	Estimate
	FirstSuccess  *Seconds           `json:"first_success_seconds,omitempty"`
	Blip          Seconds            `json:"-"`
	Outages       []OutageReport     `json:"-"`
	Blips         BlipsReport        `json:"-"`
	LongestOutage Seconds            `json:"-"`
	Answered      *Estimate          `json:"-"`
	Unavailable   Seconds            `json:"unavailable_seconds"`
	Failed        Seconds            `json:"-"`
	Slow          Seconds            `json:"-"`
	LateRatio     LateRatio          `json:"-"`
	Flaps         int                `json:"flaps"`
	Redundancy    *Seconds           `json:"redundancy_seconds,omitempty"`
	ByClass       map[Class]Estimate `json:"by_class"`
	Phases        []Phase            `json:"phases"`
	Degraded      Seconds            `json:"degraded_seconds"`
}
