package kube

import (
	"net/http"
	"sync"
	"time"
)

// Clock tells the API server's time, by the Date of its newest answer. Ages of objects are judged by it, because their
// creation times are the API server's, and this machine's clock may be wrong.
type Clock struct {
	mu   sync.Mutex
	date time.Time // the API server's, to the second
	at   time.Time // when it came, on this process's monotonic clock
}

// Now is the API server's time; this machine's own before the first answer.
func (c *Clock) Now() time.Time {
	if c == nil {
		return time.Now()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.date.IsZero() {
		return time.Now()
	}
	return c.date.Add(time.Since(c.at))
}

// Age is how old an object is, by the API server's time; 0 when its creation time is not known.
func (c *Clock) Age(created time.Time) time.Duration {
	if created.IsZero() {
		return 0
	}
	return c.Now().Sub(created)
}

// wrap learns from each answer.
func (c *Clock) wrap(next http.RoundTripper) http.RoundTripper {
	return &clockReader{next: next, clock: c}
}

type clockReader struct {
	next  http.RoundTripper
	clock *Clock
}

// RoundTrip implements http.RoundTripper.
func (r *clockReader) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := r.next.RoundTrip(request)
	if err == nil {
		if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
			r.clock.mu.Lock()
			r.clock.date, r.clock.at = date, time.Now()
			r.clock.mu.Unlock()
		}
	}
	return response, err
}
