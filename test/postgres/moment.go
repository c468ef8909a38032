package postgres

import "time"

// Moment is when something was done: between a reading of the kernel's monotonic clock right before the system calls
// that did it, and one right after.
type Moment struct{ Before, After time.Time }

func moment(do func()) Moment {
	m := Moment{Before: time.Now()}
	do()
	m.After = time.Now()
	return m
}

// Since is how long after the other moment this one was: at least and at most.
func (m Moment) Since(other Moment) (least, atMost time.Duration) {
	return m.Before.Sub(other.After), m.After.Sub(other.Before)
}
