package kube

import "time"

// SetTimes makes a lock short-lived, so that a test need not wait for a real one to expire.
func (l *Lock) SetTimes(duration, interval time.Duration) {
	l.duration, l.interval = duration, interval
}

// LeaseName is the name of a scope's Lease.
var LeaseName = leaseName
