package drillfile

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/schema"
)

// checkLedger reports what cannot be measured in a drill whose target keeps no ledger: everything, when no probe stands
// for its clients, and the objectives that only a ledger can judge.
func (l *loader) checkLedger(b *drillBlock, live scope) {
	kind := withoutLedger(live["target"])
	if kind == nil {
		return
	}
	if body, ok := b.Body.(*hclsyntax.Body); ok && count(body, "probe") == len(b.Probes) && !hasClients(live["probe"]) {
		l.report(b.Targets[0].DefRange, "Nothing to measure", fmt.Sprintf(
			"A target of kind %s takes no writes of drill's, so a probe has to stand for its clients. Add a probe that asks whether something answers, such as:\nprobe \"http\" %q {\n  url = \"http://…\"\n}",
			kind.Name, b.Targets[0].Name))
	}
	if b.Objectives != nil {
		l.checkLedgerObjectives(b.Objectives, kind)
	}
}

func (l *loader) checkLedgerObjectives(b *objectivesBlock, kind *Kind) {
	for _, o := range []struct {
		name    string
		written bool
		at      hcl.Range
	}{
		{drill.ObjectiveLostWrites, b.LostWrites != nil, b.LostWritesRange},
		{drill.ObjectiveDualPrimary, b.DualPrimary != nil, b.DualPrimaryRange},
		{drill.ObjectiveReplicationLag, b.ReplicationLag != nil, b.ReplicationLagRange},
		{drill.ObjectiveLeaderChanges, b.LeaderChanges != nil, b.LeaderChangesRange},
	} {
		if o.written {
			l.report(o.at, "Objective without a ledger", fmt.Sprintf(
				"A target of kind %s has no ledger and no primary, so there is no number to judge %s by. Remove it; recovery_time and redundancy_time can be asked for.", kind.Name, o.name))
		}
	}
}

// hasClients reports whether a probe can stand for clients: it knows what an outage is. One of an unknown kind, which
// has been reported, may have been meant to.
func hasClients(probes map[string]*Kind) bool {
	for _, k := range probes {
		if k == nil {
			return true
		}
		if _, ok := schema.Find(k.Attributes, "outage_seconds"); ok {
			return true
		}
	}
	return false
}

// withoutLedger is the kind of the drill's target, if it keeps no ledger.
func withoutLedger(targets map[string]*Kind) *Kind {
	for _, name := range keys(targets) {
		if k := targets[name]; k != nil && k.NoLedger {
			return k
		}
	}
	return nil
}
