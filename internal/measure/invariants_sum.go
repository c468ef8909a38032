package measure

import (
	"fmt"

	"github.com/failoverdrill/drill/internal/drill"
)

// sum follows accounts between which amounts are moved: every answer must hold the same sum, whoever gives it.
type sum struct {
	answers int
	broken  violations
}

func (x *sum) take(s slot) {
	if s.Outcome != drill.OutcomeOK || s.Op == nil || s.Op.Func != drill.OpSum || len(s.Op.Args) != 1 {
		return
	}
	x.answers++
	total := int64(0)
	for _, balance := range s.Op.Got {
		total += balance
	}
	if want := s.Op.Args[0]; total != want {
		x.broken.add(s.Done, fmt.Sprintf("%s shows accounts %v, which sum to %d and not to %d", someone(s), s.Op.Got, total, want))
	}
}
