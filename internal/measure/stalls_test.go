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
	p := &probe{ProbeInfo: drill.ProbeInfo{Deadline: 900 * time.Millisecond}, gauge: gauge{delta: 20 * time.Millisecond, within: 40 * time.Millisecond}}
	ended := func(done int, o drill.Outcome) drill.Sample {
		return drill.Sample{Scheduled: ms(100), Sent: ms(100), Done: ms(done), Outcome: o}
	}
	slow := ended(170, drill.OutcomeOK)
	late := func(turn, sent int) drill.Sample {
		return drill.Sample{Scheduled: ms(turn), Sent: ms(sent), Done: ms(sent + 1), Outcome: drill.OutcomeOK}
	}
	unsent := func(turn, done int) drill.Sample {
		return drill.Sample{Scheduled: ms(turn), Done: ms(done), Outcome: drill.OutcomeUnsent}
	}
	beat := func(from, to int) drill.Stall { return drill.Stall{From: ms(from), To: ms(to)} }
	for name, tc := range map[string]struct {
		slot   drill.Sample
		others []drill.Sample
		beats  []drill.Stall
		want   state
	}{
		"nobody else was late":                 {slow, []drill.Sample{late(120, 120), late(140, 141)}, nil, down},
		"the next slot was late by the excess": {slow, []drill.Sample{late(120, 165)}, nil, unknown},
		"the next slot was too late to send":   {slow, []drill.Sample{unsent(120, 165)}, nil, unknown},
		"all sessions were taken":              {slow, []drill.Sample{unsent(120, 121)}, nil, down},
		"late, but by less than the excess":    {slow, []drill.Sample{late(120, 140)}, nil, down},
		"late before this one's turn":          {slow, []drill.Sample{late(20, 95)}, nil, down},
		"late mostly before this one's turn":   {slow, []drill.Sample{late(20, 120)}, nil, down},
		"late after this one was answered":     {slow, []drill.Sample{late(180, 260)}, nil, down},
		"the heart missed its beats":           {slow, nil, []drill.Stall{beat(125, 160)}, unknown},
		"two stalls add up":                    {slow, nil, []drill.Stall{beat(105, 125), beat(130, 145)}, unknown},
		"one stall told twice counts once":     {slow, []drill.Sample{late(105, 123)}, []drill.Stall{beat(105, 125)}, down},
		"it was sent late itself": {drill.Sample{Scheduled: ms(100), Sent: ms(115), Done: ms(150), Outcome: drill.OutcomeOK},
			nil, nil, unknown},
		"what the target failed is never excused": {ended(170, drill.OutcomeFail), nil, []drill.Stall{beat(101, 169)}, down},
		"nor what is in doubt":                    {ended(800, drill.OutcomeIndeterminate), nil, []drill.Stall{beat(101, 799)}, down},
		"a deadline that passed in our sleep":     {ended(1000, drill.OutcomeIndeterminate), nil, []drill.Stall{beat(110, 999)}, unknown},
		"a deadline that passed awake":            {ended(1000, drill.OutcomeFail), nil, []drill.Stall{beat(110, 900)}, down},
		"an answer in time needs no excuse":       {late(100, 100), []drill.Sample{late(101, 165)}, nil, up},
	} {
		t.Run(name, func(t *testing.T) {
			s := slotOf(tc.slot)
			s.state = p.gauge.state(s)
			var all stalls
			for _, other := range append(tc.others, tc.slot) {
				all.note(slotOf(other))
			}
			for _, b := range tc.beats {
				all.beat(b)
			}
			all.sort()
			require.Equal(t, tc.want, all.excuse(s, p))
		})
	}
}

// TestUpMayAllowMoreThanTheDeadline: what was given up while we were awake is down, however slow the target is at its best.
func TestUpMayAllowMoreThanTheDeadline(t *testing.T) {
	ms := func(n int) drill.Offset { return drill.Offset(time.Duration(n) * time.Millisecond) }
	p := &probe{ProbeInfo: drill.ProbeInfo{Deadline: 500 * time.Millisecond}, gauge: gauge{delta: 100 * time.Millisecond, within: 514 * time.Millisecond}}
	s := slotOf(drill.Sample{Scheduled: ms(1000), Sent: ms(1000), Done: ms(1501), Outcome: drill.OutcomeFail, Signal: drill.SignalTimeout})
	s.state = p.gauge.state(s)
	require.Equal(t, down, stalls{}.excuse(s, p))
	var stopped stalls
	stopped.beat(drill.Stall{From: ms(1100), To: ms(1400)})
	stopped.sort()
	require.Equal(t, unknown, stopped.excuse(s, p))
}

// TestOurOwnStallsStretchNoBaseline: answers that lay unread while this process was stopped say nothing of how quick the target is.
func TestOurOwnStallsStretchNoBaseline(t *testing.T) {
	at := func(n int) drill.Offset { return drill.Offset(time.Duration(n) * time.Millisecond) }
	p := &probe{ProbeInfo: drill.ProbeInfo{Interval: 100 * time.Millisecond}}
	for k := range 20 {
		due := at(100 * k)
		s := drill.Sample{Scheduled: due, Sent: due, Done: due.Add(3 * time.Millisecond), Outcome: drill.OutcomeOK}
		if k == 7 {
			s.Done = due.Add(250 * time.Millisecond) // it was answered after 3 ms, and read after the stop
		}
		p.slots = append(p.slots, slotOf(s))
	}
	all := span{0, forever}
	require.Equal(t, 500*time.Millisecond, gaugeOf(p, all, stalls{}).within, "without a witness the target was that slow")
	var stopped stalls
	stopped.beat(drill.Stall{From: at(703), To: at(950)})
	stopped.sort()
	require.Equal(t, 200*time.Millisecond, gaugeOf(p, all, stopped).within)
}
