package measure

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// shop scripts a run of a service with pods a, b, c and no ledger. The fault is injected at 20 s.
type shop struct {
	scene
	victims, spared string
	method          string
	present         []drill.Event // who can serve, in place of a, b, c for ever
	probes          []drill.ProbeInfo
	edit            func(*drill.Recording)
}

func people(names string) []drill.Member {
	ms := []drill.Member{}
	for n := range strings.FieldsSeq(names) {
		ms = append(ms, drill.Member{Namespace: "shop", Name: "checkout-" + n, UID: "uid-" + n, Role: drill.RoleUnknown})
	}
	return ms
}

// serving is who can serve from a moment on.
func serving(t time.Duration, ready, endpoints string) drill.Event {
	return drill.Event{At: drill.Offset(t), Type: drill.EventMembers, Readiness: &drill.Readiness{Target: "checkout", Desired: 3,
		Ready: people(ready), Endpoints: people(endpoints), Budgets: []drill.Budget{{Name: "checkout", Rule: "maxUnavailable 1", Allowed: 1, Covers: 3}}}}
}

// killedAll is the plain case: all three are deleted at 20 s; new pods are Ready at 24, 25 and 26 s.
func killedAll() shop {
	return shop{victims: "a b c", method: "force_delete", scene: scene{cuts: []cut{{20 * sec, 24200 * ms, refused}}, end: 90 * sec, impact: 60 * sec}, present: []drill.Event{
		serving(sec, "a b c", "a b c"), serving(20100*ms, "", "a b c"), serving(20200*ms, "", ""),
		serving(24*sec, "d", ""), serving(24100*ms, "d", "d"), serving(25*sec, "d e", "d e"), serving(26*sec, "d e f", "d e f")}}
}

// killedOne loses one of three, and clients saw nothing of it.
func killedOne() shop {
	return shop{victims: "a", method: "force_delete", scene: scene{end: 90 * sec, impact: 60 * sec}, present: []drill.Event{
		serving(sec, "a b c", "a b c"), serving(20200*ms, "b c", "b c"), serving(25*sec, "b c d", "b c"), serving(25100*ms, "b c d", "b c d")}}
}

func (s shop) recording() drill.Recording {
	at := func(t time.Duration, e drill.Event) drill.Event { e.At = drill.Offset(t); return e }
	change := func(t time.Duration, st drill.FaultState, spared []drill.Member) drill.Event {
		return at(t, drill.Event{Type: drill.EventFault, Fault: &drill.FaultChange{Kind: "pod_kill", Name: "checkout", State: st, From: drill.Offset(20 * sec), Spared: spared}})
	}
	if s.probes == nil {
		s.probes = []drill.ProbeInfo{{Name: "checkout", Kind: "http", Class: drill.ClassFresh, Interval: 50 * ms, Deadline: 500 * ms}}
	}
	var spared []drill.Member
	if s.spared != "" {
		spared = people(s.spared)
	}
	events := []drill.Event{{Type: drill.EventPlan, Members: people("a b c"), Plans: []drill.FaultPlan{
		{Kind: "pod_kill", Name: "checkout", Method: s.method, Victims: people(s.victims)}}}}
	for _, p := range s.probes {
		events = append(events, at(0, drill.Event{Type: drill.EventProbe, Probe: &p}))
	}
	events = append(events, at(2*sec, drill.Event{Type: drill.EventStep, Step: drill.StepSteady}), change(20*sec, drill.FaultInjecting, nil),
		change(20*sec+10*ms, drill.FaultInjected, spared), change(21*sec, drill.FaultConfirmed, nil), change(21*sec, drill.FaultReverted, nil))
	events = append(events, s.present...)
	events = append(events, s.events...)
	var samples []drill.Sample
	for _, p := range s.probes {
		for k := int64(0); time.Duration(k)*p.Interval < s.end; k++ {
			w := s.write(p.Name, p.Class, k, time.Duration(k)*p.Interval, 0)
			w.Write, w.Role, w.By, w.Epoch = false, drill.RoleUnknown, "", 0
			samples = append(samples, w)
		}
	}
	slices.SortStableFunc(samples, func(x, y drill.Sample) int { return cmp.Compare(x.Done, y.Done) })
	end := s.end_
	if end == nil {
		end = &drill.End{Cause: drill.EndFinished, Code: "finished"}
	}
	events = append(events, at(s.end, drill.Event{Type: drill.EventSamples, Samples: samples}), at(s.end, drill.Event{Type: drill.EventEnd, End: end}))
	set := settings
	set.ImpactTimeout, set.NoLedger = s.impact, true
	rec := drill.Recording{Objectives: s.objectives, Settings: set, Events: slices.Values(events)}
	if s.edit != nil {
		s.edit(&rec)
	}
	return rec
}

func (s shop) report() drill.Report { return Report(s.recording()) }

func phaseNames(ps []drill.Phase) (names []string, total float64) {
	for _, p := range ps {
		names, total = append(names, p.Name), total+float64(p.Seconds)
	}
	return names, total
}

func TestServiceReplaced(t *testing.T) {
	rep := killedAll().report()
	require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, rep.Run.Reasons)
	rec := rep.Recovery
	require.Equal(t, "checkout", rec.Target)
	require.Equal(t, drill.OutcomeReplaced, rec.Outcome)
	require.Equal(t, drill.ClassFresh, rec.HeadlineClass)
	require.LessOrEqual(t, float64(rec.Lower), 4.2)
	require.GreaterOrEqual(t, float64(rec.Upper), 4.2)
	require.InDelta(t, 4.2, float64(rec.Estimate.Estimate), 0.1)
	require.Len(t, rec.ByClass, 1)
	require.InDelta(t, 6, float64(*rec.Redundancy), 1e-9)
	names, total := phaseNames(rec.Phases)
	require.Equal(t, []string{"impact", "detected", "ready", "routed", "first_success", "sustained", "redundant"}, names)
	require.InDelta(t, float64(*rec.Redundancy), total, 1e-6, "the phases sum to the total")
	for _, p := range rec.Phases {
		require.NotEmpty(t, p.Signal)
		require.GreaterOrEqual(t, float64(p.Seconds), 0.0)
	}
	require.Equal(t, "pod checkout-d is Ready", rec.Phases[2].Signal)

	e := rep.Endpoints
	require.Equal(t, 3, *e.Desired)
	require.Equal(t, 0, *e.LeastReady)
	require.InDelta(t, 3.9, float64(*e.NoEndpoints), 1e-9)
	require.Equal(t, drill.NewMember{First: 4, All: 6}, *e.NewMember)
	require.Equal(t, 1, e.Budgets[0].AllowedBefore)
	require.Equal(t, 3, e.Budgets[0].Covers)
	require.Contains(t, e.Budgets[0].Text, "did not matter")

	require.Nil(t, rep.Writes)
	require.Nil(t, rep.ReplicationLag)
	require.Nil(t, rep.Primaries)
	require.Empty(t, rep.Unknown, "what there cannot be is not unknown")
}

func TestServiceWithoutImpact(t *testing.T) {
	rep := killedOne().report()
	require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, rep.Run.Reasons)
	require.Equal(t, drill.OutcomeNoImpact, rep.Recovery.Outcome)
	require.InDelta(t, 5.1, float64(*rep.Recovery.Redundancy), 1e-9)
	names, total := phaseNames(rep.Recovery.Phases)
	require.Equal(t, []string{"detected", "ready", "routed", "redundant"}, names)
	require.InDelta(t, 5.1, total, 1e-6)
	require.Equal(t, "the Service dropped checkout-a", rep.Recovery.Phases[0].Signal)
	require.Equal(t, 2, *rep.Endpoints.LeastReady)
	require.Zero(t, *rep.Endpoints.NoEndpoints)
	require.Equal(t, drill.NewMember{First: 5, All: 5}, *rep.Endpoints.NewMember)
}

// TestServiceRedundancy: as many ready endpoints as are desired, none of them a victim's, for two seconds.
func TestServiceRedundancy(t *testing.T) {
	for _, tc := range []struct {
		name    string
		present []drill.Event
		want    drill.Seconds
	}{
		{"a victim that is still led to does not count", []drill.Event{serving(sec, "a b c", "a b c"), serving(22*sec, "b c d", "a b c d"), serving(30*sec, "b c d", "b c d")}, 10},
		{"nobody noticed the fault yet", []drill.Event{serving(sec, "a b c", "a b c")}, drill.Never()},
		{"one is missing for ever", []drill.Event{serving(sec, "a b c", "a b c"), serving(20200*ms, "b c", "b c")}, drill.Never()},
		{"a second is too short", []drill.Event{serving(sec, "a b c", "a b c"), serving(20200*ms, "b c", "b c"), serving(25*sec, "b c d", "b c d"),
			serving(26*sec, "b c d", "b c"), serving(40*sec, "b c d", "b c d")}, 20},
		{"a stretch before the fault does not count", []drill.Event{serving(sec, "b c d", "b c d"), serving(5*sec, "a b c", "a b c"), serving(20200*ms, "b c", "b c"),
			serving(31*sec, "b c e", "b c e")}, 11},
		{"Ready is not yet led to", []drill.Event{serving(sec, "a b c", "a b c"), serving(20200*ms, "b c", "b c"), serving(25*sec, "b c d", "b c"), serving(33*sec, "b c d", "b c d")}, 13},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := killedOne()
			s.present = tc.present
			red := s.report().Recovery.Redundancy
			require.NotNil(t, red)
			if tc.want == drill.Never() {
				require.Equal(t, tc.want, *red)
				return
			}
			require.InDelta(t, float64(tc.want), float64(*red), 1e-6)
		})
	}
	s := killedOne()
	s.present = nil
	rep := s.report()
	require.Nil(t, rep.Recovery.Redundancy)
	require.Equal(t, []string{"recovery.redundancy_seconds", "endpoints.desired", "endpoints.least_ready", "endpoints.no_endpoints_seconds",
		"endpoints.new_member_ready_seconds"}, rep.Unknown)
}

// TestServiceRedundancyIsNoEarlierThanRecovery: endpoints that nobody can reach are no redundancy.
func TestServiceRedundancyIsNoEarlierThanRecovery(t *testing.T) {
	s := killedAll()
	s.cuts[0].to = 31 * sec
	rep := s.report()
	require.InDelta(t, float64(rep.Recovery.Estimate.Estimate), float64(*rep.Recovery.Redundancy), 1e-6)
	s.cuts[0].to = 200 * sec
	require.Equal(t, drill.Never(), *s.report().Recovery.Redundancy)
}

// TestServiceWithoutEndpointsBefore: what was missing before the fault is not the fault's.
func TestServiceWithoutEndpointsBefore(t *testing.T) {
	s := killedOne()
	s.present = []drill.Event{serving(sec, "a b c", "a b c"), serving(15*sec, "a b c", ""), serving(25*sec, "b c d", "b c d")}
	require.Equal(t, drill.Seconds(5), *s.report().Endpoints.NoEndpoints)
}

// TestServiceSteadyNeedsItsClients: all endpoints are ready, and nobody is served.
func TestServiceSteadyNeedsItsClients(t *testing.T) {
	s := killedOne()
	s.cuts = []cut{{5 * sec, 15 * sec, refused}}
	rec := s.recording()
	l := NewLive(rec.Settings)
	for e := range rec.Events {
		if e.At < drill.Offset(10*sec) {
			l.Event(e)
		}
		for _, x := range e.Samples {
			if x.Done < drill.Offset(10*sec) {
				l.Sample(x)
			}
		}
	}
	ok, why := l.Steady("checkout", drill.Offset(10*sec))
	require.False(t, ok)
	require.Equal(t, "the probe checkout fails", why)
}

func TestServiceNewMembers(t *testing.T) {
	for _, tc := range []struct {
		name    string
		present []drill.Event
		want    drill.NewMember
	}{
		{"none", []drill.Event{serving(sec, "a b c", "a b c"), serving(20200*ms, "", "")}, drill.NewMember{First: drill.Never(), All: drill.Never()}},
		{"one of three", []drill.Event{serving(sec, "a b c", "a b c"), serving(20200*ms, "", ""), serving(30*sec, "d", "d")}, drill.NewMember{First: 10, All: drill.Never()}},
		{"one went again", []drill.Event{serving(sec, "a b c", "a b c"), serving(20200*ms, "", ""), serving(30*sec, "d", "d"), serving(31*sec, "e", "e"),
			serving(32*sec, "d e f", "d e f")}, drill.NewMember{First: 10, All: 12}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := killedAll()
			s.present = tc.present
			require.Equal(t, tc.want, *s.report().Endpoints.NewMember)
		})
	}
}

// TestEvictionSpares: a budget kept two of three running, so one new pod is all there will be.
func TestEvictionSpares(t *testing.T) {
	s := killedOne()
	s.method, s.victims, s.spared = "evict", "a b c", "b c"
	rep := s.report()
	require.InDelta(t, 5.1, float64(*rep.Recovery.Redundancy), 1e-9, "those that were spared still serve")
	require.Equal(t, drill.NewMember{First: 5, All: 5}, *rep.Endpoints.NewMember)
	require.Equal(t, "It allowed 1 of 3 evictions and kept the rest running (maxUnavailable 1, 1 allowed before).", rep.Endpoints.Budgets[0].Text)
	require.Equal(t, people("b c"), rep.Faults[0].Spared)

	s = killedOne()
	s.method = "evict"
	require.Equal(t, "It allowed what was asked for: 1 eviction (maxUnavailable 1, 1 allowed before).", s.report().Endpoints.Budgets[0].Text)
}

func TestServiceVerdicts(t *testing.T) {
	limit := func(name string, l float64) []drill.Objective { return []drill.Objective{{Name: name, Limit: l}} }
	for _, tc := range []struct {
		name    string
		edit    func(*shop)
		verdict drill.Verdict
		code    string
		text    string
	}{
		{"not one answer", func(s *shop) { s.cuts = []cut{{0, 200 * sec, refused}} }, drill.VerdictInvalid, "no_successful_slot", ""},
		{"no probe", func(s *shop) { s.probes = []drill.ProbeInfo{} }, drill.VerdictInvalid, "no_successful_slot", ""},
		{"a pinned probe is no client", func(s *shop) {
			s.probes = []drill.ProbeInfo{{Name: "one", Class: drill.ClassPinned, Interval: 100 * ms, Deadline: sec}}
		}, drill.VerdictInvalid, "no_successful_slot", ""},
		{"never", func(s *shop) { s.cuts[0].to = 200 * sec }, drill.VerdictFailed, "not_recovered", "The service never came back for good while drill watched."},
		{"never, with a limit", func(s *shop) { s.cuts[0].to = 200 * sec; s.objectives = limit("recovery_time", 5) }, drill.VerdictFailed, "objective_missed",
			"The service never came back, limit 5 s."},
		{"too slow", func(s *shop) { s.objectives = limit("recovery_time", 4) }, drill.VerdictFailed, "objective_missed",
			"The service came back after 4.175 s (at worst 4.201 s), limit 4 s."},
		{"fast enough", func(s *shop) { s.objectives = limit("recovery_time", 4.5) }, drill.VerdictPassed, "", ""},
		{"redundancy too late", func(s *shop) { s.objectives = limit("redundancy_time", 5.9) }, drill.VerdictFailed, "objective_missed", "Redundancy came back after 6 s, limit 5.9 s."},
		{"redundancy in time", func(s *shop) { s.objectives = limit("redundancy_time", 6) }, drill.VerdictPassed, "", ""},
		{"watched too short", func(s *shop) { s.end = 60 * sec }, drill.VerdictInvalid, "observation_too_short", ""},
		{"refused", func(s *shop) {
			s.end_ = &drill.End{Cause: drill.EndRefused, Code: "evictions_refused", Text: "No."}
		}, drill.VerdictRefused, "evictions_refused", "No."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := killedAll()
			tc.edit(&s)
			run := s.report().Run
			require.Equal(t, tc.verdict, run.Verdict, run.Reasons)
			if tc.code == "" {
				require.Empty(t, run.Reasons)
				return
			}
			require.Equal(t, tc.code, run.Reasons[0].Code)
			if tc.text != "" {
				require.Equal(t, tc.text, run.Reasons[0].Text)
			}
		})
	}
}

// TestServiceHeadline: the first probe that stands for clients, in the order of the file.
func TestServiceHeadline(t *testing.T) {
	s := killedAll()
	s.probes = []drill.ProbeInfo{
		{Name: "one", Class: drill.ClassPinned, Interval: 100 * ms, Deadline: sec},
		{Name: "orders", Target: "orders", Class: drill.ClassPooled, Interval: 100 * ms, Deadline: sec},
		{Name: "errors", Kind: "promql", Class: drill.ClassFresh, Interval: sec, Deadline: sec, Value: "value"},
		{Name: "tcp", Class: drill.ClassPooled, Interval: 100 * ms, Deadline: sec},
		{Name: "http", Class: drill.ClassFresh, Interval: 50 * ms, Deadline: sec},
	}
	rec := s.report().Recovery
	require.Equal(t, drill.ClassPooled, rec.HeadlineClass)
	require.InDelta(t, 0.2, float64(rec.UpWithin), 1e-9, "2Δ of the probe tcp")
	require.Len(t, rec.ByClass, 1, "another probe asks another question")
}

func TestServiceLive(t *testing.T) {
	s := killedAll()
	rec := s.recording()
	l := NewLive(rec.Settings)
	ok, why := l.Steady("checkout", 0)
	require.False(t, ok)
	require.Equal(t, "the endpoints are not known yet", why)
	var samples []drill.Sample
	events := slices.Collect(rec.Events)
	for _, e := range events {
		samples = append(samples, e.Samples...)
	}
	slices.SortStableFunc(events, func(a, b drill.Event) int { return cmp.Compare(a.At, b.At) })
	var redundant, back time.Duration
	for now := 50 * ms; now < s.end; now += 50 * ms {
		for len(events) > 0 && events[0].At <= drill.Offset(now) {
			l.Event(events[0])
			events = events[1:]
		}
		for len(samples) > 0 && samples[0].Done <= drill.Offset(now) {
			l.Sample(samples[0])
			samples = samples[1:]
		}
		v, ok := l.Values(drill.Offset(now))["target"]["checkout"], false
		whole := l.Redundant("checkout", drill.Offset(now))
		ok, why = l.Steady("checkout", drill.Offset(now))
		switch {
		case now > 2*sec && now < 20*sec:
			require.True(t, ok, why)
			require.Equal(t, map[string]float64{"ready": 3, "desired": 3, "outage_seconds": 0, "success_ratio": 1}, v)
		case now > 20010*ms && now < 20100*ms:
			require.False(t, whole, "the Service still leads to victims")
		case now > 20300*ms && now < 24*sec:
			require.False(t, ok)
			require.Equal(t, "0 of 3 endpoints are ready", why)
			require.Zero(t, v["ready"])
			require.InDelta(t, (now - 20*sec).Seconds(), v["outage_seconds"], 0.06)
			require.Zero(t, l.UpFor("checkout", drill.Offset(now)))
		case now > 25*sec && now < 26*sec:
			require.Equal(t, "2 of 3 endpoints are ready", why)
		}
		if whole && now > 20*sec && redundant == 0 {
			redundant = now
		}
		if now > 24*sec && back == 0 && l.UpFor("checkout", drill.Offset(now)) > 0 {
			back = now
		}
	}
	require.InDelta(t, 26, redundant.Seconds(), 0.051)
	require.InDelta(t, 24.25, back.Seconds(), 0.11)
}

// TestAServiceThatWasCutOffIsWholeAgain: the pods are the same as before, and no other will ever come.
func TestAServiceThatWasCutOffIsWholeAgain(t *testing.T) {
	s := shop{victims: "a b c", scene: scene{cuts: []cut{{20 * sec, 24200 * ms, refused}}, end: 90 * sec, impact: 60 * sec}, present: []drill.Event{
		serving(sec, "a b c", "a b c"), serving(21*sec, "", ""), serving(25*sec, "a b c", "a b c")}}
	var live *Live
	s.edit = func(rec *drill.Recording) {
		events := slices.Collect(rec.Events)
		events[0].Plans[0].Hold = time.Second
		rec.Events = slices.Values(events)
		live = NewLive(rec.Settings)
		for _, e := range events {
			live.Event(e)
		}
	}
	rep := s.report()
	require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, rep.Run.Reasons)
	require.NotNil(t, rep.Recovery.Redundancy)
	require.InDelta(t, 5, float64(*rep.Recovery.Redundancy), 1e-9)
	require.True(t, live.Redundant("checkout", drill.Offset(30*sec)), "else a run would wait for it in vain")
}
