package measure

import "github.com/failoverdrill/drill/internal/drill"

// strike notes whom an injection has hurt. The victims of a fault that lasts come back with its end, as they are.
func (l *Live) strike(f *drill.FaultChange) {
	if f == nil || f.State != drill.FaultInjected {
		return
	}
	for _, p := range l.plans {
		if p.Kind == f.Kind && p.Name == f.Name && p.Hold == 0 {
			l.standing.strike(p.Victims, f.Spared)
		}
	}
}

// service are the values of a target without a ledger.
func (l *Live) service(now drill.Offset) map[string]float64 {
	values := map[string]float64{"ready": float64(len(l.standing.Endpoints)), "desired": float64(l.standing.Desired)}
	if l.clients != nil {
		l.clients.values(now, values)
	}
	return values
}

func (l *Live) serviceSteady(now drill.Offset) (ok bool, why string) {
	if ok, why := l.standing.whole(); !ok {
		return false, why
	}
	switch {
	case l.clients == nil:
		return false, "no probe stands for the target's clients"
	case l.clients.upFor(now) == 0:
		return false, "the probe " + l.clients.Name + " fails"
	}
	return true, ""
}
