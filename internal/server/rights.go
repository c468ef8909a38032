package server

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/failoverdrill/drill/internal/kube"
)

// How often a requester's rights are asked again while a run has injected nothing, and how long that may take: whoever
// asks has other runs to look at.
const (
	rightsEvery  = time.Minute
	rightsWithin = 5 * time.Second
)

// stillMay asks once a minute whether the requester may still do what the run is about to, for the first injection may be
// hours after its admission. A right that is gone cancels the run, and then it reports true. A question that nobody answers
// changes nothing: it is asked again. A run that its requester's own process executes has that process's rights.
func (r *reconciler) stillMay(ctx context.Context, run *kube.DrillRun) (cancelled bool) {
	m := r.remember(run.Name)
	if run.Spec.Local || run.CancelRequested() || !run.AllAhead() || time.Since(m.asked) < rightsEvery {
		return false
	}
	m.asked = time.Now()
	ctx, cancel := context.WithTimeout(ctx, rightsWithin)
	defer cancel()
	missing, err := r.lacksNow(ctx, run, m)
	if err == nil && len(missing) > 0 {
		why := fmt.Sprintf("a right was taken from its requester. %s may no longer %s", run.Spec.Requester.User, missing[0])
		if err = r.runs.CancelBecause(ctx, run.Name, why); err == nil {
			r.o.Log.Warn("a run is cancelled", zap.String("run", run.Name), zap.String("because", why))
			return true
		}
		m.asked = time.Time{} // at the next look
	}
	if err != nil {
		r.o.Log.Warn("the requester's rights cannot be asked again", zap.String("run", run.Name), zap.Error(err))
	}
	return false
}

// lacksNow reads the run's file if another server admitted it.
func (r *reconciler) lacksNow(ctx context.Context, run *kube.DrillRun, m *memory) ([]kube.Right, error) {
	if m.request == nil {
		request, err := r.requestOf(ctx, run)
		if err != nil {
			return nil, err
		}
		m.request = &request
	}
	return r.o.Client.RequesterLacks(ctx, run.Spec.Requester, m.request.rights())
}

// requestOf is what a run needs, by its file.
func (r *reconciler) requestOf(ctx context.Context, run *kube.DrillRun) (Request, error) {
	in, _, err := kube.LoadInputs(ctx, r.o.Client, run)
	if err != nil {
		return Request{}, err
	}
	return r.check(run.Spec, in)
}

// ledgerLeft says what a runner that died may have left in the databases of its targets. It is no residue: the server has
// no way into them.
func (r *reconciler) ledgerLeft(ctx context.Context, run *kube.DrillRun) string {
	ctx, cancel := context.WithTimeout(ctx, rightsWithin)
	defer cancel()
	request, err := r.requestOf(ctx, run)
	const goes = "the next run there uses it; rows are removed by the first run that ends a day later or more, and with the last rows the schema"
	switch {
	case err != nil:
		return " If a target of it keeps drill's ledger, schema failoverdrill may still be in the database: " + goes + "."
	case len(request.Ledgers) > 0:
		return fmt.Sprintf(" Drill's ledger, schema failoverdrill, may still be in the database of %s: %s.", strings.Join(request.Ledgers, " and of "), goes)
	}
	return ""
}
