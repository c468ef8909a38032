package drillfile

import (
	"fmt"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// Bounds of a series of runs.
const (
	maxRepeat  = 1000
	maxStagger = time.Hour
)

// series reads how often the drill is run, and how long each run waits at most before its fault; and whether what comes
// before the fault leaves any time for it.
func (l *loader) series(d *drill.Drill, b *drillBlock) {
	d.Repeat = 1
	if b.Repeat != nil && (*b.Repeat >= 1 || !l.failedWithin(b.RepeatRange)) {
		d.Repeat = *b.Repeat
		if d.Repeat < 1 || d.Repeat > maxRepeat {
			l.report(b.RepeatRange, "Number out of range",
				fmt.Sprintf("A drill is run from 1 to %d times in a row. Write how many trials there are to be.", maxRepeat))
		}
	}
	d.Stagger = l.duration(b.Stagger, b.StaggerRange, 0)
	if d.Stagger > maxStagger {
		l.report(b.StaggerRange, "Delay too long",
			fmt.Sprintf("The random delay before a fault may be up to %s, and this is %s. A little more than the target's lease or ttl is enough.", maxStagger, d.Stagger))
		return
	}
	before := d.SteadyState.Hold + d.Stagger
	if d.Timeout > before {
		return
	}
	at := b.TimeoutRange
	if b.Timeout == nil {
		at = b.DefRange
		if b.Stagger != nil {
			at = b.StaggerRange
		}
	}
	if d.Stagger > 0 {
		l.report(at, "Timeout too short", fmt.Sprintf(
			"One run may take %s, but its steady state must hold for %s, and the delay before its fault may be %s. Raise timeout, or lower stagger.",
			d.Timeout, d.SteadyState.Hold, d.Stagger))
		return
	}
	l.report(at, "Timeout too short",
		fmt.Sprintf("The whole drill may take %s, but its steady state alone must hold for %s. Raise timeout, or lower hold.", d.Timeout, d.SteadyState.Hold))
}
