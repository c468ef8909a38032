package runner

import "github.com/failoverdrill/drill/internal/drill"

// cleaned is an event whose texts steer no terminal and forge no line: errors of databases and of the cluster are in them,
// and every view, record and log has them from here. The parts that it changes are the event's own.
func cleaned(e drill.Event) drill.Event {
	e.Text = drill.Clean(e.Text)
	if f := e.Fault; f != nil {
		f.By, f.Residue = drill.Clean(f.By), drill.CleanAll(f.Residue)
	}
	if f := e.Finding; f != nil {
		f.Text = drill.Clean(f.Text)
	}
	if r := e.Rule; r != nil {
		r.Message = drill.Clean(r.Message)
	}
	if e.End != nil {
		e.End.Text = drill.Clean(e.End.Text)
	}
	for i := range e.Plans {
		e.Plans[i].Sentence, e.Plans[i].Undo = drill.Clean(e.Plans[i].Sentence), drill.Clean(e.Plans[i].Undo)
	}
	return e
}
