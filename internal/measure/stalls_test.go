package measure

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// TestOwnStallIsNoOutage: a slow answer is the target's only as far as this process was not itself asleep.
func TestOwnStallIsNoOutage(t *testing.T) {
	ms := func(n int) drill.Offset { return drill.Offset(time.Duration(n) * time.Millisecond) }
	g := gauge{delta: 20 * time.Millisecond, within: 40 * time.Millisecond}
	slow := drill.Sample{Scheduled: ms(100), Sent: ms(100), Done: ms(170), Outcome: drill.OutcomeOK}
	late := func(turn, sent int) drill.Sample {
		return drill.Sample{Scheduled: ms(turn), Sent: ms(sent), Done: ms(sent + 1), Outcome: drill.OutcomeOK}
	}
	unsent := func(turn, done int) drill.Sample {
		return drill.Sample{Scheduled: ms(turn), Done: ms(done), Outcome: drill.OutcomeUnsent}
	}
	for name, tc := range map[string]struct {
		slot   drill.Sample
		others []drill.Sample
		want   state
	}{
		"nobody else was late":                 {slow, []drill.Sample{late(120, 120), late(140, 141)}, down},
		"the next slot was late by the excess": {slow, []drill.Sample{late(120, 165)}, unknown},
		"the next slot was too late to send":   {slow, []drill.Sample{unsent(120, 165)}, unknown},
		"all sessions were taken":              {slow, []drill.Sample{unsent(120, 121)}, down},
		"late, but by less than the excess":    {slow, []drill.Sample{late(120, 140)}, down},
		"late before this one was sent":        {slow, []drill.Sample{late(20, 95)}, down},
		"late after this one was answered":     {slow, []drill.Sample{late(180, 260)}, down},
		"a slot that failed is never excused":  {drill.Sample{Scheduled: ms(100), Sent: ms(100), Done: ms(170), Outcome: drill.OutcomeFail}, []drill.Sample{late(120, 165)}, down},
		"nor one that is in doubt":             {drill.Sample{Scheduled: ms(100), Sent: ms(100), Done: ms(1000), Outcome: drill.OutcomeIndeterminate}, []drill.Sample{late(120, 999)}, down},
		"an answer in time needs no excuse":    {late(100, 100), []drill.Sample{late(101, 165)}, up},
	} {
		t.Run(name, func(t *testing.T) {
			s := slotOf(tc.slot)
			s.state = g.state(s)
			var all stalls
			for _, other := range append(tc.others, tc.slot) {
				all.note(slotOf(other))
			}
			all.sort()
			require.Equal(t, tc.want, all.excuse(s, g))
		})
	}
}
