package bank

import (
	"context"
	"slices"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// scripted is a probe whose answers are the script's.
type scripted struct {
	w    *world
	info drill.ProbeInfo
}

func (p scripted) Info() drill.ProbeInfo { return p.info }

func (p scripted) Sample(ctx context.Context, s *drill.Sample) {
	w, came := p.w, time.Now()
	t := w.now()
	if w.mute(t) {
		return // it is told as unsent
	}
	r := w.through(t)
	switch {
	case p.info.Target == "":
		r = reply{after: w.quick()}
		if w.bystander != nil {
			r = w.bystander(w, t, r)
		}
	case p.info.Class == drill.ClassPooled && w.pooled != nil:
		r = w.pooled(w, t, r)
	case p.info.Class == drill.ClassFresh:
		r.after += 0.004 // a login
		if w.fresh != nil {
			r = w.fresh(w, t, r)
		}
	case p.info.Class == drill.ClassPinned:
		r = reply{by: p.info.Member, after: w.quick()}
		if w.away(p.info.Member, t) {
			r = fails(drill.SignalRefused)
		}
		if w.pinned != nil {
			r = w.pinned(w, p.info.Member, t, r)
		}
	}
	if r.after > 0 {
		select {
		case <-time.After(time.Duration(r.after * float64(time.Second))):
		case <-ctx.Done():
			r = reply{signal: drill.SignalTimeout}
			if p.info.Target != "" && p.info.Class != drill.ClassPinned {
				s.Write, s.Outcome, s.Signal = true, drill.OutcomeFail, r.signal
				return
			}
		}
	}
	p.answer(s, r, came, t)
}

// answer fills in the slot.
func (p scripted) answer(s *drill.Sample, r reply, came time.Time, t at) {
	w := p.w
	s.Write = p.info.Target != "" && p.info.Class != drill.ClassPinned
	if s.Outcome, s.Signal = drill.OutcomeOK, ""; r.signal != "" {
		s.Outcome, s.Signal, s.By = drill.OutcomeFail, r.signal, r.by
		if r.signal == drill.SignalReadOnly {
			s.Role = drill.RoleReplica
		}
		return
	}
	if p.info.Target == "" {
		return
	}
	s.By, s.Role, s.Epoch = r.by, drill.RolePrimary, 1
	if r.by != "orders-0" {
		s.Epoch = 2
	}
	if w.epoch != nil {
		s.Epoch = w.epoch(r.by, t)
	}
	if p.info.Class == drill.ClassPinned {
		p.member(s, t)
	}
	if !s.Write {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	a := &acked{s.Probe, s.Slot, came, r.by, r.lost}
	w.all = append(w.all, a)
	if p.info.Class == drill.ClassPooled {
		w.acks = append(w.acks, a)
	}
}

// member is what a member says of itself: a primary writes, a replica tells what it shows.
func (p scripted) member(s *drill.Sample, t at) {
	w, name := p.w, p.info.Member
	s.Write = w.primary(name, t)
	s.Reading = &drill.Reading{UID: "uid-" + name, Streaming: true}
	if !s.Write {
		s.Role, s.Epoch = drill.RoleReplica, 0
	}
	behind := time.Duration(w.behind(name, t) * float64(time.Second))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.shown[name] == nil {
		w.shown[name] = map[int64]bool{}
	}
	for _, a := range w.acks {
		visible := a.by == name || !a.lost && time.Since(a.at) >= behind
		if visible && !w.shown[name][a.seq] {
			w.shown[name][a.seq] = true
			s.Reading.Seen = append(s.Reading.Seen, a.seq)
		}
	}
	w.forget()
}

// forget lets go of acknowledgements that every member has shown, so that a long run stays quick.
func (w *world) forget() {
	n := 0
	for n < len(w.acks) && (w.acks[n].lost || !slices.ContainsFunc(members, func(m string) bool { return !w.shown[m][w.acks[n].seq] })) {
		n++
	}
	w.acks = w.acks[n:]
}
