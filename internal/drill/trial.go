package drill

// Trial is what one run adds to the statistics of several.
type Trial struct {
	Run      string          `json:"run"`
	Format   string          `json:"format_version,omitempty"` // of its report; in those of version 1 this is missing
	Verdict  Verdict         `json:"verdict"`                  // empty when it is not known
	Outcome  RecoveryOutcome `json:"outcome,omitempty"`
	Recovery *Estimate       `json:"recovery,omitempty"`
	Lost     *int            `json:"lost_writes,omitempty"`
}

// Trial is the report's part in the statistics of several runs.
func (r Report) Trial() Trial {
	t := Trial{Run: r.Run.ID, Format: r.FormatVersion, Verdict: r.Run.Verdict}
	if r.Recovery != nil {
		t.Outcome, t.Recovery = r.Recovery.Outcome, new(r.Recovery.Estimate)
	}
	if r.Writes != nil {
		t.Lost = r.Writes.Lost
	}
	return t
}

// Older reports whether the trial was measured by the definition of recovery of format version 1, in which any single down
// slot moved it.
func (t Trial) Older() bool { return t.Format == "" || t.Format == "1" }

// Failed reports whether the trial is one of the failures among those that say how often there are any: the measured ones.
// One that was aborted is, too: the target did so badly that the run was ended.
func (t Trial) Failed() bool { return t.Verdict.Measured() && t.Verdict != VerdictPassed }

// Counts reports whether the trial measured to the end how the target recovers. One that was cut short has not: what it
// saw by then says nothing of how long it would have taken.
func (t Trial) Counts() bool {
	return t.Recovery != nil && (t.Verdict == VerdictPassed || t.Verdict == VerdictFailed)
}

// HasResidue reports whether a fault of the run left something behind.
func (r Report) HasResidue() bool {
	for _, f := range r.Faults {
		if len(f.Residue) > 0 {
			return true
		}
	}
	return false
}

// EndsSeries says why no trial follows one that ended so; it is empty when the series goes on. Only a target that was
// measured and put back is broken again: a trial that failed says how often that happens, which is what a series asks.
func EndsSeries(v Verdict, residue bool) string {
	switch {
	case residue:
		return "something was left behind, and someone must act before the next fault"
	case v == VerdictPassed, v == VerdictFailed:
		return ""
	case v == VerdictRefused:
		return "it was refused, and whoever mends the reason must look at the target first"
	case v == VerdictAborted:
		return "an abort condition fired: the target did so badly that it must be looked at before it is broken again"
	case v == VerdictInterrupted:
		return "it was interrupted, and that ends the series"
	case v == VerdictInvalid:
		return "its numbers cannot be vouched for, and those of the next could not be either"
	default:
		return "drill itself failed, and what that left of the target is not known"
	}
}
