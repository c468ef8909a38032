package drill

// Cause says in one word what a target was too slow at, or did wrong, so that runs can be sorted by what must be mended.
type Cause string

// The causes, from the gravest down: of several reasons the first of these is the run's.
const (
	CauseSplit      Cause = "split"      // two members took writes
	CauseLoss       Cause = "loss"       // what was acknowledged is not what is there
	CauseFresh      Cause = "fresh"      // clients that connect anew were served later than those that were connected
	CauseRelapse    Cause = "relapse"    // clients were served again, and then not any more
	CauseServe      Cause = "serve"      // whom clients were led to answered too late, or only in part
	CauseRoute      Cause = "route"      // clients were led to a member that cannot serve them
	CausePromote    Cause = "promote"    // the failure was noticed, and nobody took over, or late
	CauseDetect     Cause = "detect"     // nobody noticed the failure, or late
	CauseMembership Cause = "membership" // a member that was lost did not come back, or late
	CauseLag        Cause = "lag"        // a replica was behind, or nobody can say how far
	CauseNone       Cause = ""           // none of these: the run passed, or says nothing of its target
)

// Causes are all there are, from the gravest down.
func Causes() []Cause {
	return []Cause{CauseSplit, CauseLoss, CauseFresh, CauseRelapse, CauseServe, CauseRoute, CausePromote, CauseDetect, CauseMembership, CauseLag}
}
