package measure

import (
	"slices"

	"github.com/failoverdrill/drill/internal/drill"
)

// Lag is a replica's replication lag, when it is known.
type Lag struct {
	Known  bool
	Bounds drill.Bounds
}

// Lags returns the lag of every member that does not lead.
func (l *Live) Lags(target string, now drill.Offset) map[string]Lag {
	lags := map[string]Lag{}
	t := l.targets[target]
	if t == nil {
		return lags
	}
	for _, name := range t.cluster.replicas(now) {
		m := t.cluster.members[name]
		lags[name] = Lag{Known: m.fresh(now) && m.word.role == drill.RoleReplica, Bounds: m.word.lag}
	}
	return lags
}

// lag is the worst bound over the replicas, 0 when all have caught up; not known when one of them is not.
func (t *liveTarget) lag(now drill.Offset) (worst float64, ok bool) {
	names := t.cluster.replicas(now)
	for _, name := range names {
		m := t.cluster.members[name]
		if !m.fresh(now) || m.word.role != drill.RoleReplica {
			return 0, false
		}
		if !m.word.caught {
			worst = max(worst, float64(m.word.lag.Upper))
		}
	}
	return worst, len(names) > 0
}

// heard reports whether any member's word holds.
func (t *liveTarget) heard(now drill.Offset) bool {
	for _, m := range t.cluster.members {
		if m.fresh(now) {
			return true
		}
	}
	return false
}

// replicas names the members that do not lead: neither by their own word, nor, while silent, by having led last.
func (c *cluster) replicas(now drill.Offset) []string {
	var names []string
	for name, m := range c.members {
		if m.fresh(now) && m.word.role == drill.RolePrimary || !m.fresh(now) && name == c.leader {
			continue
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
