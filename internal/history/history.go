// Package history reads what is left of runs: their records in the cluster, or reports in a local folder.
package history

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/report"
)

// Report is the run's report as it is recorded, or what the record says of a run that ended without one: refused by the
// server, or swept after its runner died.
func Report(r *kube.DrillRun) (drill.Report, error) {
	stored, err := r.Report()
	if err != nil {
		return drill.Report{}, err
	}
	if stored != nil {
		Settle(stored, r)
		return *stored, nil
	}
	_, trial := r.Trial()
	rep := drill.Report{FormatVersion: drill.FormatVersion,
		Run: drill.RunReport{ID: r.Name, Drill: r.Spec.Drill, File: r.Spec.File, Started: r.CreationTimestamp.UTC(),
			Variables: variables(r), Verdict: r.Status.Verdict, Trial: trial, Reasons: []drill.Reason{{Code: "record", Text: r.Status.Message}}},
		Faults: []drill.FaultReport{}, Probes: []drill.ProbeReport{}, Objectives: []drill.ObjectiveReport{},
		Findings: []drill.Finding{}, Unknown: []string{"recovery", "writes", "replication_lag", "primaries"}}
	if r.Status.Finished != nil {
		rep.Run.Finished = r.Status.Finished.UTC()
	}
	for _, f := range r.Status.Faults {
		rep.Faults = append(rep.Faults, drill.FaultReport{Kind: f.Kind, Name: f.Name, Victims: []drill.Member{},
			Reverted: f.Phase == kube.FaultReverted, Residue: append([]string{}, f.Residue...)})
	}
	return rep, nil
}

// Settle corrects what a report says of the faults by the record, which may know more: what had been residue and was put
// back later, what was reverted after the report was computed, and what could not be. The verdict stays.
func Settle(rep *drill.Report, r *kube.DrillRun) {
	for _, known := range r.Status.Faults {
		i := slices.IndexFunc(rep.Faults, func(f drill.FaultReport) bool { return f.Kind == known.Kind && f.Name == known.Name })
		if i < 0 {
			continue
		}
		switch f := &rep.Faults[i]; {
		case known.Phase == kube.FaultResidue:
			f.Reverted, f.Residue = false, append([]string{}, known.Residue...)
		case known.Phase == kube.FaultReverted && known.Cleared != nil:
			f.Reverted, f.Residue = true, []string{}
			rep.Run.Reasons = slices.DeleteFunc(rep.Run.Reasons, func(why drill.Reason) bool { return why.Code == "residue" })
			rep.Run.Reasons = append(rep.Run.Reasons, drill.Reason{Code: "residue_cleared", Text: fmt.Sprintf(
				"The residue of %s was put back at %s by %s.", known, known.Cleared.UTC().Format(time.RFC3339), known.By)})
		case known.Phase == kube.FaultReverted && len(f.Residue) == 0:
			f.Reverted = true
		}
	}
}

// variables are the open ones of a record.
func variables(r *kube.DrillRun) map[string]drill.VariableValue {
	in, err := kube.Inputs{Variables: r.Spec.Inputs.Variables}.Unseal(nil)
	if err != nil || len(in.Variables) == 0 {
		return nil
	}
	all := map[string]drill.VariableValue{}
	for name, value := range in.Variables {
		all[name] = drill.VariableValue(value)
	}
	return all
}

// Entry is a run in a list. What is not known, or cannot be vouched for, is absent.
type Entry struct {
	Run        string          `json:"run"`
	Drill      string          `json:"drill"`
	By         string          `json:"by,omitempty"`      // who made it: schedule, or requester/NAME; unknown of local ones
	Targets    string          `json:"targets,omitempty"` // the namespaces of its targets, with commas
	Trial      int             `json:"trial"`             // of its series
	Trials     int             `json:"trials"`            // 0 while it is not known
	Phase      kube.Phase      `json:"phase"`
	Started    time.Time       `json:"started"`
	Finished   *time.Time      `json:"finished,omitempty"`
	Verdict    drill.Verdict   `json:"verdict,omitempty"`
	Recovery   *drill.Estimate `json:"recovery,omitempty"`
	NoImpact   bool            `json:"no_impact,omitempty"` // no outage was seen at all
	Fresh      *drill.Estimate `json:"fresh,omitempty"`     // of new connections, where one number cannot stand for both
	Lost       *int            `json:"lost_writes,omitempty"`
	LagBefore  *drill.Bounds   `json:"replication_lag_before_seconds,omitempty"`
	LagPeak    *drill.Bounds   `json:"replication_lag_peak_seconds,omitempty"`
	Redundancy *drill.Seconds  `json:"redundancy_seconds,omitempty"`
	Reason     string          `json:"reason,omitempty"` // the first one for the verdict
	Residue    []string        `json:"residue,omitempty"`
}

// Of is the entry of a report.
func Of(rep drill.Report) Entry {
	e := Entry{Run: rep.Run.ID, Drill: rep.Run.Drill, Trial: rep.Run.Trial, Trials: rep.Run.Trials, Phase: kube.PhaseFinished, Started: rep.Run.Started, Verdict: rep.Run.Verdict}
	if !rep.Run.Finished.IsZero() {
		e.Finished = &rep.Run.Finished
	}
	if len(rep.Run.Reasons) > 0 {
		e.Reason = cmp.Or(rep.Run.Reasons[0].Text, rep.Run.Reasons[0].Code)
	}
	for _, f := range rep.Faults {
		e.Residue = append(e.Residue, f.Residue...)
	}
	if !rep.Run.Verdict.Measured() {
		return e
	}
	if rec := rep.Recovery; rec != nil {
		e.Recovery, e.NoImpact, e.Redundancy = &rec.Estimate, rec.Outcome == drill.OutcomeNoImpact, rec.Redundancy
		if report.FreshDiffers(rec) {
			e.Fresh = new(rec.ByClass[drill.ClassFresh])
		}
	}
	if rep.Writes != nil {
		e.Lost = rep.Writes.Lost
	}
	if l := rep.ReplicationLag; l != nil {
		e.LagBefore, e.LagPeak = l.Before, l.Peak
	}
	return e
}

// Key tells the run's series from others of the same drill name.
func (e Entry) Key() kube.SeriesKey {
	return kube.SeriesKey{Drill: e.Drill, By: e.By, Targets: e.Targets}
}

// Worse is the recovery time that the run is judged by: the worse of the headline's and that of new connections.
func (e Entry) Worse() drill.Estimate {
	if e.Fresh != nil && e.Fresh.Upper > e.Recovery.Upper {
		return *e.Fresh
	}
	return *e.Recovery
}

// RecoveryText writes the recovery time for people. Without one it is a dash.
func (e Entry) RecoveryText() string {
	text := "no outage"
	switch {
	case e.Recovery == nil:
		return "–"
	case !e.NoImpact:
		text = report.Estimate(*e.Recovery)
	}
	if e.Fresh != nil {
		text += "; new connections " + report.Estimate(*e.Fresh)
	}
	return text
}

// OfRecord is the entry of a record, finished or not. What is left behind is the record's to say: somebody may have
// cleared it away since the report.
func OfRecord(r *kube.DrillRun) Entry {
	_, trial := r.Trial()
	key := KeyOf(r)
	if !r.Finished() {
		return Entry{Run: r.Name, Drill: r.Spec.Drill, By: key.By, Targets: key.Targets, Trial: trial, Phase: cmp.Or(r.Status.Phase, kube.PhasePending), Started: r.CreationTimestamp.UTC(), Reason: r.Status.Message}
	}
	rep, err := Report(r)
	if err != nil {
		return Entry{Run: r.Name, Drill: r.Spec.Drill, By: key.By, Targets: key.Targets, Trial: trial, Phase: r.Status.Phase, Started: r.CreationTimestamp.UTC(), Verdict: r.Status.Verdict,
			Reason: "The report cannot be read: " + err.Error(), Residue: r.Residue()}
	}
	e := Of(rep)
	e.Run, e.Drill, e.Verdict, e.Residue = r.Name, r.Spec.Drill, r.Status.Verdict, r.Residue()
	e.By, e.Targets = key.By, key.Targets
	return e
}

// Last stands for the newest run that has a report.
const Last = "last"

// Find returns the one of the ids, the newest first, that a user means: a whole id, a part from its beginning that no
// other has, or last.
func Find(ids []string, meant string) (string, error) {
	if len(ids) == 0 {
		return "", fmt.Errorf("there is no finished run yet")
	}
	if meant == Last {
		return ids[0], nil
	}
	if slices.Contains(ids, meant) {
		return meant, nil
	}
	var found []string
	for _, id := range ids {
		if meant != "" && strings.HasPrefix(id, meant) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("there is no finished run %q. List them with: drill history", meant)
	case 1:
		return found[0], nil
	}
	const most = 5
	more := ""
	if len(found) > most {
		more = fmt.Sprintf(" and %d more", len(found)-most)
	}
	return "", fmt.Errorf("%q may be any of %d runs: %s%s", meant, len(found), strings.Join(found[:min(most, len(found))], ", "), more)
}
