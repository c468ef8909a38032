package measure

import (
	"math"
	"math/rand/v2"
)

// The rules of the simulation that the definition was chosen by (issue 11, definitions.go): so long a baseline; then the
// probe is watched for so long at least, until it has been quiet for so long, and never longer than so.
const (
	simBaseline = 10.0
	simWatch    = 60.0
	simQuiet    = 10.0
	simLimit    = 300.0
)

// share is a stretch in which so many of the requests fail.
type share struct{ from, to, of float64 }

// weather is a scene of the simulation.
type weather struct {
	name      string
	truth     float64 // when what was scripted has ended; +Inf: never
	p, pAfter float64 // of slots that are late, one by one, before and after the fault
	stalls    float64 // a second, each delaying all slots in it; log-normal around 60 ms
	shares    []share
	noise     bool // beside a failover nothing but noise: it must not move the recovery
	brown     bool // a brown-out, whose end is to be found
}

// theScenes are those of definitions.go.
func theScenes() []weather {
	fo := share{0, 2.2, 1}
	flap := func(d float64) []share {
		all := []share{fo}
		for t := 11.; t < simLimit; t += 9 {
			all = append(all, share{t, t + d, 1})
		}
		return all
	}
	noisy := func(w weather) weather { w.truth, w.noise, w.shares = 2.2, true, []share{fo}; return w }
	return []weather{
		noisy(weather{name: "clean"}),
		noisy(weather{name: "p .01%", p: .0001}),
		noisy(weather{name: "p .1%", p: .001}),
		noisy(weather{name: "p .3%", p: .003}),
		noisy(weather{name: "p .5%", p: .005}),
		noisy(weather{name: "p 1%", p: .01}),
		noisy(weather{name: "stall/20s", stalls: .05}),
		noisy(weather{name: "stall/5s", stalls: .2}),
		noisy(weather{name: "cold .2>.8%", p: .002, pAfter: .008}),
		noisy(weather{name: "cold 0>1%", pAfter: .01}),
		{name: "relapse .1", truth: 40.1, p: .001, shares: []share{fo, {40, 40.1, 1}}},
		{name: "relapse .2", truth: 40.2, p: .001, shares: []share{fo, {40, 40.2, 1}}},
		{name: "relapse 1", truth: 41, p: .001, shares: []share{fo, {40, 41, 1}}},
		{name: "relapse 3", truth: 43, p: .001, shares: []share{fo, {40, 43, 1}}},
		{name: "relapse .2 p1%", truth: 40.2, p: .01, shares: []share{fo, {40, 40.2, 1}}},
		{name: "brown 30%", truth: 22.2, p: .001, shares: []share{fo, {2.2, 22.2, .3}}, brown: true},
		{name: "brown 10%", truth: 22.2, p: .001, shares: []share{fo, {2.2, 22.2, .1}}, brown: true},
		{name: "brown 5%", truth: 22.2, p: .001, shares: []share{fo, {2.2, 22.2, .05}}, brown: true},
		{name: "brown 30% p1%", truth: 22.2, p: .01, shares: []share{fo, {2.2, 22.2, .3}}},
		{name: "brown 5% ever", truth: math.Inf(1), p: .001, pAfter: .05, shares: []share{fo}},
		{name: "the same, failing", truth: math.Inf(1), p: .001, shares: []share{fo, {2.2, simLimit, .05}}},
		{name: "hole .5", truth: .5, p: .001, shares: []share{{0, .5, 1}}},
		{name: "late 30+5", truth: 35, p: .001, shares: []share{{30, 35, 1}}},
		{name: "flap .3/9s", truth: math.Inf(1), p: .001, shares: flap(.3)},
		{name: "flap .06/9s", truth: 2.2, p: .001, shares: flap(.06)},
	}
}

// turns is one history of a scene: of each slot what became of it, and when its turn was.
type turns struct {
	hz, phase float64
	first     int // the first slot after the fault
	fates     []fate
}

// at is a slot's turn, in seconds after the fault.
func (h turns) at(i int) float64 { return (float64(i-h.first) + h.phase) / h.hz }

func (w weather) play(hz float64, r *rand.Rand) turns {
	first := int(simBaseline * hz)
	h := turns{hz: hz, phase: r.Float64(), first: first, fates: make([]fate, first+int(simLimit*hz))}
	for i := range h.fates {
		p := w.p
		if i >= first && w.pAfter > 0 {
			p = w.pAfter
		}
		if p > 0 && r.Float64() < p {
			h.fates[i] = tooLate
		}
	}
	slot := func(t float64) int { return max(0, first+int(math.Ceil(t*hz-h.phase))) }
	for t := -simBaseline; w.stalls > 0 && t < simLimit; {
		t += r.ExpFloat64() / w.stalls
		end := t + 0.060*math.Exp(0.5*r.NormFloat64()) - max(2/hz, 0.04) // a slot in the stall is answered at its end
		for i := slot(t); i < len(h.fates) && h.at(i) < end; i++ {
			h.fates[i] = tooLate
		}
	}
	for _, c := range w.shares {
		for i := max(first, slot(c.from)); i < len(h.fates) && h.at(i) < c.to; i++ {
			if c.of >= 1 || r.Float64() < c.of {
				h.fates[i] = refuses
			}
		}
	}
	return h
}
