package drillfile

import (
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/schema"
)

// timeline is what is known before a run of when its parts come.
type timeline struct {
	drill  *drill.Drill
	block  *hcl.Block
	body   *schema.Decoded
	steady bool // its hold can be relied on
	faults []part
}

// soonest is how long a run takes at least until its first injection, of what can be relied on.
func (t timeline) soonest() time.Duration {
	var d time.Duration
	if t.steady {
		d += t.drill.SteadyState.Hold
	}
	if len(t.faults) > 0 {
		d += t.faults[0].after
	}
	return d
}

// checkTimeout reports a drill whose timeout leaves no time for its last fault to be there as long as it must.
func (l *loader) checkTimeout(t timeline) {
	if !t.body.Sound("timeout") {
		return
	}
	var parts []string
	var need, longest time.Duration
	var at *hcl.Range // of the part that could be made shorter
	add := func(d time.Duration, format string, args ...any) {
		if need += d; d > 0 {
			parts = append(parts, fmt.Sprintf(format, append(args, d)...))
		}
	}
	if t.steady {
		add(t.drill.SteadyState.Hold, "its steady state must hold for %s")
	}
	if t.body.Sound("stagger") {
		add(t.drill.Stagger, "the delay before its fault may be %s")
	}
	longest = need
	for _, f := range t.faults {
		if add(f.after, "the fault %q waits for %s", f.name()); f.after > 0 {
			at = new(f.meta.At("after"))
		}
		longest = max(longest, need)
		if f.kind == nil || f.kind.Hold == nil || !f.decoded.Complete() {
			continue
		}
		if hold := f.kind.Hold(f.spec); hold > 0 {
			parts = append(parts, fmt.Sprintf("the fault %q lasts %s", f.name(), hold))
			longest = max(longest, need+hold)
			if at == nil {
				at = &f.block.LabelRanges[1]
			}
		}
	}
	if t.drill.Timeout > longest {
		return
	}
	l.report(t.blame(at), "Timeout too short", fmt.Sprintf("One run may take %s, but %s. Raise timeout, or lower the rest.", t.drill.Timeout, list(parts)))
}

// blame is the argument that is most probably wrong when a run's parts take longer than its timeout.
func (t timeline) blame(part *hcl.Range) hcl.Range {
	for _, argument := range []string{"timeout", "stagger"} {
		if t.body.Given(argument) {
			return t.body.At(argument)
		}
	}
	if part != nil {
		return *part
	}
	return t.block.DefRange
}

// checkAbort reports an abort condition that could not fire before the drill's timeout ends the run anyway.
func (l *loader) checkAbort(r drill.Rule, d *schema.Decoded, t timeline) {
	if !t.body.Sound("timeout") || !d.Sound("for") || !d.Sound("grace") || r.For+r.Grace == 0 {
		return
	}
	soonest := t.soonest() + r.Grace + r.For
	if soonest < t.drill.Timeout {
		return
	}
	at := d.At("grace")
	if r.For > r.Grace {
		at = d.At("for")
	}
	l.report(at, "Abort condition too late", fmt.Sprintf(
		"This condition cannot end the run before %s have passed, and the drill's timeout ends it after %s anyway. Lower for and grace, or raise timeout.", soonest, t.drill.Timeout))
}

// list joins parts of a sentence.
func list(parts []string) string {
	if len(parts) == 1 {
		return parts[0]
	}
	return strings.Join(parts[:len(parts)-1], ", ") + ", and " + parts[len(parts)-1]
}
