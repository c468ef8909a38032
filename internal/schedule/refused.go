package schedule

import "time"

// Refused counts a due time as missed whose run was made and never began, because its request had become too old or its
// window had closed. It reports whether the book changed: counting the same one again changes nothing.
func (b *Book) Refused(drillName string, due time.Time, reason string) bool {
	e := b.find(drillName)
	if e == nil || e.Newest != nil && e.Newest.At.Equal(due) {
		return false
	}
	problem := e.Problem
	e.miss(1, Miss{At: due, Reason: reason})
	e.Problem = problem // it is that of a later due time
	return true
}
