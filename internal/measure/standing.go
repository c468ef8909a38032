package measure

import (
	"fmt"
	"slices"

	"github.com/failoverdrill/drill/internal/drill"
)

// standing is who can serve, of a target without a ledger, and whom a fault has hurt. The live values and the report
// share it, so that there is one definition of redundancy.
type standing struct {
	known bool
	at    drill.Offset
	drill.Readiness
	hurt map[string]bool // UIDs
}

// see takes in who can serve from now on.
func (s *standing) see(at drill.Offset, r drill.Readiness) { s.known, s.at, s.Readiness = true, at, r }

// strike takes in what an injection has hurt.
func (s *standing) strike(victims, spared []drill.Member) {
	if s.hurt == nil {
		s.hurt = map[string]bool{}
	}
	for _, v := range victims {
		if !slices.ContainsFunc(spared, func(m drill.Member) bool { return m.UID == v.UID }) {
			s.hurt[v.UID] = true
		}
	}
}

// whole reports whether the next fault would find the target as the first one did: as many ready endpoints as are
// desired, none of them a victim's, which is on its way out. Else it says what is missing.
func (s *standing) whole() (ok bool, why string) {
	if !s.known {
		return false, "the endpoints are not known yet"
	}
	for _, e := range s.Endpoints {
		if s.hurt[e.UID] {
			return false, "the Service still leads to " + e.Name
		}
	}
	if n := len(s.Endpoints); n < s.Desired {
		return false, fmt.Sprintf("%d of %d endpoints are ready", n, s.Desired)
	}
	return true, ""
}

// clients reports whether a probe can stand for the clients of a target without a ledger: the first such is the
// headline. A pinned probe sees one member only, and a numeric one no answer at all.
func clients(p drill.ProbeInfo) bool {
	return p.Target == "" && p.Class != drill.ClassPinned && !p.Numeric()
}
