package kube

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/failoverdrill/drill/internal/drill"
)

// Runs is the store of the records of runs in one namespace.
type Runs struct {
	records   dynamic.ResourceInterface
	namespace string
}

// NewRuns opens the store; an empty namespace is drill's own.
func NewRuns(client dynamic.Interface, namespace string) *Runs {
	if namespace == "" {
		namespace = Namespace
	}
	return &Runs{records: client.Resource(Resource).Namespace(namespace), namespace: namespace}
}

// Namespace is where the records are.
func (s *Runs) Namespace() string { return s.namespace }

var notInName = regexp.MustCompile("[^a-z0-9]+")

// RunID makes the id of a new run: when, which drill, and four random digits. It is short enough for "run-", the id and
// the number of a trial to be the name of a pod.
func RunID(now time.Time, drillName string) string {
	var random [2]byte
	_, _ = rand.Read(random[:]) // never fails
	return runID(now, drillName, "", random)
}

// LocalRunID makes the id of a new run that its requester's own process executes. Nobody else's run may have a name of this
// form, so that no trial of such a series is in the way of a trial that the server makes.
func LocalRunID(now time.Time, drillName string) string {
	var random [2]byte
	_, _ = rand.Read(random[:]) // never fails
	return runID(now, drillName, "l", random)
}

// ScheduledRunID is the id of the run that a schedule makes for a due time: the same on every server, so that only one
// of them can make it. The policy drillruns.failoverdrill.io lets nobody else make a name of this form: it can be foretold.
func ScheduledRunID(due time.Time, drillName string) string {
	sum := sha256.Sum256([]byte(drillName + "\x00" + due.UTC().Format(time.RFC3339)))
	return runID(due, drillName, "s", [2]byte(sum[:2]))
}

func runID(at time.Time, drillName, form string, last [2]byte) string {
	const longest = 26 // and room for the number of a trial
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(drillName), "-"), "-")
	if len(name) > longest {
		name = strings.Trim(name[:longest], "-")
	}
	parts := []string{strings.ToLower(at.UTC().Format("2006-01-02T15-04-05Z")), name, form + hex.EncodeToString(last[:])}
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), "-")
}

// Create stores a new run, pending.
func (s *Runs) Create(ctx context.Context, spec Spec) (*DrillRun, error) {
	id := RunID
	if spec.Local {
		id = LocalRunID
	}
	for {
		run, err := s.create(ctx, &DrillRun{ObjectMeta: metav1.ObjectMeta{Name: id(time.Now(), spec.Drill)}, Spec: spec})
		if apierrors.IsAlreadyExists(err) { // same second, same drill, same four digits
			continue
		}
		return run, err
	}
}

// CreateScheduled stores the run of a schedule's due time, unless it is there: then it returns that one. After an error
// for which Unmade does not hold, the run may have been stored all the same.
func (s *Runs) CreateScheduled(ctx context.Context, spec Spec, due time.Time) (*DrillRun, error) {
	wanted := &DrillRun{ObjectMeta: metav1.ObjectMeta{Name: ScheduledRunID(due, spec.Drill),
		Labels:      map[string]string{LabelSchedule: ScheduleLabel(spec.Drill)},
		Annotations: map[string]string{AnnotationScheduledFor: due.UTC().Format(time.RFC3339)}}, Spec: spec}
	run, err := s.create(ctx, wanted)
	if !apierrors.IsAlreadyExists(err) {
		return run, err
	}
	if run, err = s.Get(ctx, wanted.Name); err != nil {
		// Not wrapped: "not found" would say that there was no such run, and there was.
		return nil, fmt.Errorf("run %s existed, and cannot be read now: %v", wanted.Name, err) //nolint:errorlint // as above
	}
	if at, ok := run.ScheduledFor(); !ok || !at.Equal(due) || run.Spec.Drill != spec.Drill {
		return nil, &drill.Refusal{Code: "run_exists", Text: fmt.Sprintf(
			"run %s is there already, and is not this schedule's. Delete it", run.Name)}
	}
	return run, nil
}

// ScheduleLabel is the value of LabelSchedule for a drill: its name, without what a label's value must not end in.
func ScheduleLabel(drillName string) string { return strings.TrimRight(drillName, "-_") }

// Unmade reports whether an error of CreateScheduled means that no run was made. An answer that did not come, and an
// error inside the API server, leave that open.
func Unmade(err error) bool {
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		return status.Status().Code < 500
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return op.Op == "dial" // nothing was sent
	}
	return errors.As(err, new(*drill.Refusal))
}

func (s *Runs) create(ctx context.Context, run *DrillRun) (*DrillRun, error) {
	if len(run.Spec.Source) > MaxSource {
		return nil, &drill.Refusal{Code: "source_too_large", Text: fmt.Sprintf(
			"%s is %d KiB long, and a run's record holds %d KiB. Split the file", run.Spec.File, len(run.Spec.Source)>>10, MaxSource>>10)}
	}
	if run.Spec.Local { // nobody else keeps the record for the process that executes it
		run.Finalizers = append(run.Finalizers, Finalizer)
	}
	run.Namespace = s.namespace
	set(&run.Labels, LabelManagedBy, ManagedBy)
	u, err := run.unstructured()
	if err != nil {
		return nil, err
	}
	u, err = s.records.Create(ctx, u, metav1.CreateOptions{FieldManager: ManagedBy})
	if err != nil {
		return nil, s.explain("create a run", err)
	}
	return fromUnstructured(u)
}

// explain turns what the user can mend into a refusal.
func (s *Runs) explain(what string, err error) error {
	switch {
	case apierrors.IsNotFound(err):
		return &drill.Refusal{Code: "not_installed", Err: err,
			Text: "drill is not installed in this cluster. Install it with drill install, or choose another context"}
	case apierrors.IsForbidden(err):
		return &drill.Refusal{Code: "forbidden", Err: err, Text: fmt.Sprintf(
			"you may not %s in namespace %s. Ask for the ClusterRole drill-requester there", what, s.namespace)}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Get reads one record.
func (s *Runs) Get(ctx context.Context, name string) (*DrillRun, error) {
	u, err := s.records.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read run %s: %w", name, err)
	}
	return fromUnstructured(u)
}

// List reads every record, the newest first.
func (s *Runs) List(ctx context.Context) ([]*DrillRun, error) {
	return s.list(ctx, metav1.ListOptions{})
}

// ListScheduled reads the records of the runs that schedules made, the newest first.
func (s *Runs) ListScheduled(ctx context.Context) ([]*DrillRun, error) {
	return s.list(ctx, metav1.ListOptions{LabelSelector: LabelSchedule})
}

// listPage is how many records are read at once: each may hold a long drill file.
const listPage = 200

func (s *Runs) list(ctx context.Context, options metav1.ListOptions) ([]*DrillRun, error) {
	var runs []*DrillRun
	err := s.each(ctx, options, func(run *DrillRun) { runs = append(runs, run) })
	if err != nil {
		return nil, err
	}
	slices.SortFunc(runs, func(a, b *DrillRun) int {
		return cmp.Or(b.CreationTimestamp.Compare(a.CreationTimestamp.Time), cmp.Compare(b.Name, a.Name))
	})
	return runs, nil
}

// each calls do with every record that the options pick, a page at a time.
func (s *Runs) each(ctx context.Context, options metav1.ListOptions, do func(*DrillRun)) error {
	options.Limit = listPage
	for {
		list, err := s.records.List(ctx, options)
		if err != nil {
			return s.explain("list runs", err)
		}
		for i := range list.Items {
			run, err := fromUnstructured(&list.Items[i])
			if err != nil {
				return err
			}
			do(run)
		}
		if options.Continue = list.GetContinue(); options.Continue == "" {
			return nil
		}
	}
}

// Cancel asks for the run's end. It is for its runner, or for the server when there is none yet, to obey.
func (s *Runs) Cancel(ctx context.Context, name string) error {
	_, err := s.records.Patch(ctx, name, types.MergePatchType, []byte(`{"spec":{"cancel":true}}`),
		metav1.PatchOptions{FieldManager: ManagedBy})
	if err != nil {
		return fmt.Errorf("cancel run %s: %w", name, err)
	}
	return nil
}

// CancelBecause cancels a run in the server's name, with the reason.
func (s *Runs) CancelBecause(ctx context.Context, name, why string) error {
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"cancel": true},
		"metadata": map[string]any{"annotations": map[string]string{AnnotationCancelled: CutText(why, MaxText)}}})
	if err != nil {
		return fmt.Errorf("encode why run %s is cancelled: %w", name, err)
	}
	if _, err = s.records.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: ManagedBy}); err != nil {
		return fmt.Errorf("cancel run %s: %w", name, err)
	}
	return nil
}

// SetFinalizer protects the record from deletion, or lets it go.
func (s *Runs) SetFinalizer(ctx context.Context, run *DrillRun, present bool) error {
	if slices.Contains(run.Finalizers, Finalizer) == present {
		return nil
	}
	finalizers := slices.DeleteFunc(slices.Clone(run.Finalizers), func(f string) bool { return f == Finalizer })
	if present {
		finalizers = append(finalizers, Finalizer)
	}
	// With the version, because a merge patch replaces the list, and others' finalizers with it.
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"finalizers": finalizers, "resourceVersion": run.ResourceVersion}})
	if err != nil {
		return fmt.Errorf("encode the finalizers of run %s: %w", run.Name, err)
	}
	_, err = s.records.Patch(ctx, run.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: ManagedBy})
	if apierrors.IsNotFound(err) && !present {
		return nil
	}
	if err != nil {
		return fmt.Errorf("set the finalizer of run %s: %w", run.Name, err)
	}
	return nil
}

// errStop ends a watch because its caller has seen enough.
var errStop = errors.New("seen enough")

// Watch calls each with the record, and again whenever it changes, until each returns false. It outlives an API server
// that goes away, for as long as ctx lives. A record that is deleted is an error for which apierrors.IsNotFound holds.
func (s *Runs) Watch(ctx context.Context, name string, each func(*DrillRun) (more bool)) error {
	last := ""
	changed := func(run *DrillRun) error {
		if run.ResourceVersion == last {
			return nil
		}
		last = run.ResourceVersion
		if !each(run) {
			return errStop
		}
		return nil
	}
	for {
		err := s.watchOnce(ctx, name, changed)
		switch {
		case errors.Is(err, errStop):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && !Retriable(err):
			return err
		}
		if !sleep(ctx, time.Second) {
			return context.Cause(ctx)
		}
	}
}

func (s *Runs) watchOnce(ctx context.Context, name string, changed func(*DrillRun) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	getting, done := context.WithTimeout(ctx, requestTimeout)
	run, err := s.Get(getting, name)
	done()
	if err != nil {
		return err
	}
	if err := changed(run); err != nil {
		return err
	}
	w, err := s.records.Watch(ctx, metav1.ListOptions{ResourceVersion: run.ResourceVersion,
		FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()})
	if err != nil {
		return fmt.Errorf("watch run %s: %w", name, err)
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		u, ok := asRecord(event)
		if !ok { // deleted, or the watch is too old: reading it again tells
			return nil
		}
		if u.GetName() != name {
			continue
		}
		run, err := fromUnstructured(u)
		if err != nil {
			return err
		}
		if err := changed(run); err != nil {
			return err
		}
	}
	return nil
}
