package schema

import "time"

// UpWithin is the argument up_within of what is asked in slots: the longest that an answer may take to count as up.
func UpWithin(to *time.Duration) Argument {
	return Duration("up_within", to, "The longest that an answer may take, from when it was due, to count as up; a later one is slow, which is down. "+
		"From two slot intervals to what a slot waits for its answer.", Default("learnt from the steady state: the 99th percentile of its answers, and up to 250ms more"))
}

// Slots are how often something is asked, and how long an answer is waited for.
type Slots struct {
	Argument string // that says how often
	Rate     int    // Hz
	Deadline time.Duration
	Waits    string // who waits for so long: "a slot waits for its answer"
}

// CheckUpWithin holds a given up_within to what can be told apart: sampling every Δ cannot see less than two of them, and
// an answer after the deadline has failed, and is not slow.
func (s Slots) CheckUpWithin(d *Decoded, upWithin time.Duration) {
	if !d.Given("up_within") || !d.Sound("up_within") || !d.Sound(s.Argument) || !d.Sound("timeout") {
		return
	}
	interval := time.Second / time.Duration(s.Rate)
	least := (2*interval + time.Microsecond - 1).Truncate(time.Microsecond) // what can be written
	switch at := d.At("up_within"); {
	case least > s.Deadline:
		d.Report(at, "Duration out of range", "up_within cannot be less than two slot intervals, which are %s at this %s, and %s no longer than %s: every answer is in time. Remove it, or raise %s.",
			short(least), s.Argument, s.Waits, short(s.Deadline), s.Argument)
	case upWithin < 2*interval:
		d.Report(at, "Duration out of range", "up_within is %s, and slots that are %s apart cannot tell anything shorter than two of them. Write %s or more, or raise %s.",
			short(upWithin), short(interval), short(least), s.Argument)
	case upWithin > s.Deadline:
		d.Report(at, "Duration out of range", "up_within is %s, and %s no longer than %s: no answer would ever be late. Write %s or less.",
			short(upWithin), s.Waits, short(s.Deadline), short(s.Deadline))
	}
}
