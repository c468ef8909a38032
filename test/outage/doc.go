// Package outage takes the API server away from runners, at each phase of a run and for half a minute to seven, and looks
// whether everything is put back and recorded when it has returned.
package outage
