package drill

import (
	"fmt"
	"time"
)

// ParseDuration reads a length of time as a drill file writes it: a number and a unit. It must not be negative.
func ParseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration. Write a number and a unit, such as \"30s\", \"10m\" or \"1h30m\"", s)
	}
	if d < 0 {
		return 0, fmt.Errorf("%q is negative. Write a duration such as \"30s\"", s)
	}
	return d, nil
}
