package history

import (
	"fmt"
	"slices"
	"strings"

	"github.com/failoverdrill/drill/internal/kube"
)

// ByAll chooses the runs of everybody.
const ByAll = "all"

// Choice says whose runs of a drill are meant: two people may call their drills alike. Empty is the schedule's when the
// drill has runs of a schedule, else everybody's.
type Choice struct {
	By      string // kube.BySchedule, ByAll, or who asked for the runs, with or without requester/
	Targets string // the namespaces of their targets, with commas; empty for any
}

// Among returns the series of a drill's runs that are meant, and those that are not, each in the order of the keys. A run
// whose targets are not known, because it was refused before, belongs to every series of who made it.
func (c Choice) Among(keys []kube.SeriesKey) (meant, others []kube.SeriesKey) {
	by := c.By
	switch {
	case by == "" && slices.ContainsFunc(keys, func(k kube.SeriesKey) bool { return k.By == kube.BySchedule }):
		by = kube.BySchedule
	case by == ByAll:
		by = ""
	case by != "" && by != kube.BySchedule && !strings.HasPrefix(by, kube.ByRequester("")):
		by = kube.ByRequester(by)
	}
	targets := ""
	if c.Targets != "" {
		targets = kube.TargetsText(strings.Split(c.Targets, ","))
	}
	by = kube.CutBy(by)
	for _, k := range keys {
		list := &others
		if (by == "" || k.By == by) && (targets == "" || k.Targets == targets || k.Targets == "" && by != "") {
			list = &meant
		}
		if !slices.Contains(*list, k) {
			*list = append(*list, k)
		}
	}
	return meant, others
}

// distinct leaves out series of unknown targets beside others of who made them.
func distinct(keys []kube.SeriesKey) []kube.SeriesKey {
	return slices.DeleteFunc(slices.Clone(keys), func(k kube.SeriesKey) bool {
		return k.Targets == "" && slices.ContainsFunc(keys, func(o kube.SeriesKey) bool { return o.By == k.By && o.Targets != "" })
	})
}

// whose writes series for people.
func whose(keys []kube.SeriesKey) string {
	var texts []string
	for _, k := range keys {
		texts = append(texts, "by "+k.Whose())
	}
	slices.Sort(texts)
	return strings.Join(slices.Compact(texts), "; ")
}

// one says why runs of these series cannot stand for one drill, and nil when they can.
func (c Choice) one(name string, meant []kube.SeriesKey) error {
	if all := distinct(meant); len(all) > 1 && c.By != ByAll {
		return fmt.Errorf("the runs of drill %q are not of one series: %s. Choose with --by and --targets, or mix them with --by all", name, whose(all))
	}
	return nil
}
