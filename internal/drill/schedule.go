package drill

import "time"

// Schedule says when a drill runs by itself. It is as the file gives it; package schedule reads the texts.
type Schedule struct {
	Cron     string        // five fields, or a descriptor such as @monthly
	Timezone string        // an IANA name
	Missed   string        // MissedSkip or MissedRunLate
	Jitter   time.Duration // the longest delay after a due time
	Window   []string      // when a run may start, such as "Mon-Fri 09:00-16:00"; at any time when empty
	Blackout []string      // days without a run, such as "2026-12-20/2027-01-05"
}

// What becomes of a due time at which nobody could start the run.
const (
	MissedSkip    = "skip"     // it is counted
	MissedRunLate = "run_late" // the newest one runs once, late; the others are counted
)
