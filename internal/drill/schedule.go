package drill

import (
	"slices"
	"time"
)

// Schedule says when a drill runs by itself. It is as the file gives it; package schedule reads the texts.
type Schedule struct {
	Cron     string        `json:"cron"`               // five fields, or a descriptor such as @monthly
	Timezone string        `json:"timezone"`           // an IANA name
	Missed   string        `json:"missed"`             // MissedSkip or MissedRunLate
	Jitter   time.Duration `json:"jitter,omitempty"`   // the longest delay after a due time, in nanoseconds
	Window   []string      `json:"window,omitempty"`   // when a run may start, such as "Mon-Fri 09:00-16:00"; at any time when empty
	Blackout []string      `json:"blackout,omitempty"` // days without a run, such as "2026-12-20/2027-01-05"
}

// What becomes of a due time at which nobody could start the run.
const (
	MissedSkip    = "skip"     // it is counted
	MissedRunLate = "run_late" // the newest one runs once, late; the others are counted
)

// Equal reports whether two schedules say the same.
func (s Schedule) Equal(other Schedule) bool {
	return s.Cron == other.Cron && s.Timezone == other.Timezone && s.Missed == other.Missed && s.Jitter == other.Jitter &&
		slices.Equal(s.Window, other.Window) && slices.Equal(s.Blackout, other.Blackout)
}
