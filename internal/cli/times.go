package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/schedule"
)

// shownTimes is how many of a schedule's times are shown: three tell a wrong expression from a right one.
const shownTimes = 3

// showTimes says when a drill will run by itself; nothing when it has no schedule.
func showTimes(w io.Writer, d *drill.Drill, now time.Time) {
	if d.Schedule == nil {
		return
	}
	table, problems := schedule.Parse(*d.Schedule)
	if len(problems) > 0 { // the file's reader has said so
		return
	}
	var times []string
	for _, at := range table.Times(now, shownTimes) {
		times = append(times, at.Format("Mon 2 Jan 2006 15:04 MST"))
	}
	fmt.Fprintf(w, "%s is due by %s (%s): %s.\n", d.Name, d.Schedule.Cron, d.Schedule.Timezone, strings.Join(times, ", "))
}
