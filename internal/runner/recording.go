package runner

import (
	"fmt"
	"slices"

	"go.uber.org/zap"

	"github.com/failoverdrill/drill/internal/drill"
)

// plain is the recorder that keeps events as they are.
type plain struct{ events []drill.Event }

// Append implements Recorder.
func (p *plain) Append(e drill.Event) { p.events = append(p.events, e) }

// Recording implements Recorder.
func (p *plain) Recording(head drill.Recording) (drill.Recording, error) {
	head.Events = slices.Values(slices.Clip(p.events))
	return head, nil
}

// record keeps an event, and a second time what says whom the run has touched: should the recorder fail, the report
// must still tell that.
func (r *run) record(e drill.Event) {
	r.Recorder.Append(e)
	switch e.Type {
	case drill.EventPlan, drill.EventFault, drill.EventFinding, drill.EventEnd:
		r.spare.Append(e)
	}
}

// Recording is the run so far. One whose recorder fails has measured nothing.
func (r *run) Recording() drill.Recording {
	r.mu.Lock()
	defer r.mu.Unlock()
	head := drill.Recording{Run: r.Info, Objectives: r.Drill.Objectives, Settings: r.Settings, Earlier: r.Earlier, Source: r.Source}
	rec, err := r.Recorder.Recording(head)
	if err == nil {
		return rec
	}
	r.Log.Error("what was recorded cannot be read", zap.Error(err))
	end := drill.End{Cause: drill.EndError, Code: "no_detail", Text: fmt.Sprintf("What was measured cannot be read: %v.", err)}
	rec, _ = r.spare.Recording(head)
	rec.Events = slices.Values(append(slices.Collect(rec.Events), drill.Event{Seq: r.seq, At: r.clock.Now(), Type: drill.EventEnd, Text: end.Text, End: &end}))
	return rec
}
