package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/types"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// UnreadableError says that a file ended whoever read it. It may be tried again, a few times.
type UnreadableError struct{ Why string }

// Error implements error.
func (e *UnreadableError) Error() string { return e.Why }

// LaterError says that a file could not be read for a reason of this machine's.
type LaterError struct{ Err error }

// Error implements error.
func (e *LaterError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *LaterError) Unwrap() error { return e.Err }

// maxReads is how often the file of one run is begun to be read. It counts in the record, over all servers: a file that
// ended a server would end the next one, too.
const maxReads = 3

// whileReading is how soon a run is looked at again while another one's file is being read.
const whileReading = 300 * time.Millisecond

// maxWaiting is how many runs of one requester may wait at the same time to be admitted.
const maxWaiting = 20

// reading keeps what is known of the runs that wait to be admitted. The reconciler's lock guards it.
type reading struct {
	turn    chan struct{}              // one file is read at a time; no worker waits for it
	waiting map[string]map[string]bool // runs, by requester
	known   map[string]knownFile       // by run
}

// knownFile is what the file of a run was found to need. Neither the file nor its inputs can change.
type knownFile struct {
	uid     types.UID
	request Request
}

func newReading() reading {
	return reading{turn: make(chan struct{}, 1), waiting: map[string]map[string]bool{}, known: map[string]knownFile{}}
}

// notTooMany refuses a run whose requester has many waiting already, before anything of it is read.
func (r *reconciler) notTooMany(ctx context.Context, a *admission) (bool, time.Duration, error) {
	who := a.run.Spec.Requester.User
	r.mu.Lock()
	waiting := r.reading.waiting[who]
	if waiting == nil {
		waiting = map[string]bool{}
		r.reading.waiting[who] = waiting
	}
	passed := waiting[a.run.Name] || len(waiting) < maxWaiting
	if passed {
		waiting[a.run.Name] = true
	}
	r.mu.Unlock()
	if passed {
		return true, 0, nil
	}
	return false, 0, r.end(ctx, a.run, drill.VerdictRefused, fmt.Sprintf(
		"%d runs of %s wait to be admitted already. Wait until they have begun, or cancel them. Nothing was touched.", maxWaiting, who))
}

// waitsNoMore forgets a run that is not pending any more.
func (r *reconciler) waitsNoMore(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.reading.known, name)
	for who, waiting := range r.reading.waiting {
		if delete(waiting, name); len(waiting) == 0 {
			delete(r.reading.waiting, who)
		}
	}
}

// readable reads the drill file and learns what the run needs.
func (r *reconciler) readable(ctx context.Context, a *admission) (passed bool, again time.Duration, err error) {
	r.mu.Lock()
	known := r.reading.known[a.run.Name]
	r.mu.Unlock()
	if known.uid == a.run.UID && known.uid != "" {
		a.request = known.request
		return true, 0, nil
	}
	if a.run.Status.Reads >= maxReads {
		return false, 0, r.unreadable(ctx, a.run, "Each time its reader ended without an answer, or drill's server did")
	}
	select {
	case r.reading.turn <- struct{}{}:
		defer func() { <-r.reading.turn }()
	default:
		return false, whileReading, nil
	}
	noted, err := r.runs.NoteRead(ctx, a.run.Name)
	if err != nil {
		return false, 0, err
	}
	*a.run = *noted // what is written next is compared with this version
	times := noted.Status.Reads
	a.request, err = r.check(a.run.Spec, a.inputs)
	if later, ok := errors.AsType[*LaterError](err); ok {
		return false, 0, errors.Join(later, r.runs.TakeBackRead(context.WithoutCancel(ctx), a.run.Name))
	}
	if deadly, ok := errors.AsType[*UnreadableError](err); ok {
		r.o.Log.Warn("a drill file ended its reader", zap.String("run", a.run.Name), zap.String("requester", a.run.Spec.Requester.User),
			zap.Int("times", times), zap.Error(err))
		if times >= maxReads {
			return false, 0, r.unreadable(ctx, a.run, deadly.Why)
		}
		return false, time.Duration(times) * 2 * time.Second, nil
	}
	if err != nil {
		return false, 0, r.end(ctx, a.run, drill.VerdictRefused, err.Error())
	}
	r.mu.Lock()
	r.reading.known[a.run.Name] = knownFile{a.run.UID, a.request}
	r.mu.Unlock()
	return true, 0, nil
}

func (r *reconciler) unreadable(ctx context.Context, run *kube.DrillRun, why string) error {
	return r.end(ctx, run, drill.VerdictRefused, fmt.Sprintf(
		"%s could not be read in %d attempts: refused, not tried again. %s. Nothing was touched.", run.Spec.File, maxReads, why))
}

// check survives a drill file that makes its reader panic: it would be read again at every start of the server.
func (r *reconciler) check(spec kube.Spec, in drill.Inputs) (request Request, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s cannot be read: %v", spec.File, p)
		}
	}()
	return r.o.Check(spec, in)
}
