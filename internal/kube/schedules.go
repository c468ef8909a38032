package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/failoverdrill/drill/internal/drill"
)

// LabelDrills marks a ConfigMap whose keys *.hcl are drill files that the server schedules, with the value Scheduled.
// The server's own book of schedules has another value. The policy schedules.failoverdrill.io goes by this label.
const (
	LabelDrills = "failoverdrill.io/drills"
	Scheduled   = "true"
	bookKept    = "state"
)

// RecordedExt is behind the name of a drill file where a ConfigMap holds what the file took from outside when it was
// scheduled, as JSON. Nothing else counts for it then.
const RecordedExt = ".inputs.json"

// Annotations of a ConfigMap of drills. The policy holds the requester's to the one who writes the drills.
const (
	AnnotationUser    = "failoverdrill.io/requester-user"
	AnnotationGroups  = "failoverdrill.io/requester-groups" // one a line
	AnnotationPaused  = "failoverdrill.io/paused"           // "true": it stays, and nothing runs
	AnnotationProblem = "failoverdrill.io/problem"          // the server's: why not everything in it is scheduled
)

const (
	bookName = "drill-schedule-state"
	bookKey  = "state.json"
)

// Schedules is the store of scheduled drills, and of the server's book about them, in one namespace.
type Schedules struct {
	client    kubernetes.Interface
	namespace string
}

// NewSchedules opens the store; an empty namespace is drill's own.
func NewSchedules(client kubernetes.Interface, namespace string) *Schedules {
	if namespace == "" {
		namespace = Namespace
	}
	return &Schedules{client: client, namespace: namespace}
}

// RequesterOf is in whose name the drills of a ConfigMap run; false when it does not say.
func RequesterOf(cm *corev1.ConfigMap) (Requester, bool) {
	who := Requester{User: cm.Annotations[AnnotationUser]}
	for group := range strings.SplitSeq(cm.Annotations[AnnotationGroups], "\n") {
		if group != "" {
			who.Groups = append(who.Groups, group)
		}
	}
	return who, who.User != ""
}

// Changed is when an object was written last, by the API server's clock.
func Changed(o metav1.Object) time.Time {
	last := o.GetCreationTimestamp().Time
	for _, m := range o.GetManagedFields() {
		if m.Time != nil && m.Time.After(last) {
			last = m.Time.Time
		}
	}
	return last
}

// List reads the ConfigMaps of scheduled drills, the oldest first.
func (s *Schedules) List(ctx context.Context) ([]*corev1.ConfigMap, error) {
	list, err := s.client.CoreV1().ConfigMaps(s.namespace).List(ctx, metav1.ListOptions{LabelSelector: LabelDrills + "=" + Scheduled})
	if err != nil {
		return nil, s.explain("list scheduled drills", err)
	}
	var all []*corev1.ConfigMap
	for i := range list.Items {
		all = append(all, &list.Items[i])
	}
	SortSchedules(all)
	return all, nil
}

// SortSchedules puts ConfigMaps in the order in which they take a drill's name: the oldest first.
func SortSchedules(all []*corev1.ConfigMap) {
	slices.SortFunc(all, func(a, b *corev1.ConfigMap) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
}

// Install stores drill files, by name, to be run in the name of who, who must be the caller. It replaces what was
// there, and a pause with it.
func (s *Schedules) Install(ctx context.Context, name string, files map[string]string, who Requester) (replaced bool, err error) {
	maps := s.client.CoreV1().ConfigMaps(s.namespace)
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.namespace}}
	old, err := maps.Get(ctx, name, metav1.GetOptions{})
	switch {
	case err == nil && old.Labels[LabelDrills] != Scheduled:
		return false, &drill.Refusal{Code: "not_a_schedule", Text: fmt.Sprintf(
			"there is a ConfigMap %s in namespace %s that holds no scheduled drills. Choose another name with --name", name, s.namespace)}
	case err == nil:
		cm, replaced = old, true
	case !apierrors.IsNotFound(err):
		return false, s.explain("read scheduled drills", err)
	}
	set(&cm.Labels, LabelDrills, Scheduled)
	set(&cm.Labels, LabelManagedBy, ManagedBy)
	set(&cm.Annotations, AnnotationUser, who.User)
	set(&cm.Annotations, AnnotationGroups, strings.Join(who.Groups, "\n"))
	delete(cm.Annotations, AnnotationPaused)
	cm.Data, cm.BinaryData = files, nil
	if replaced {
		_, err = maps.Update(ctx, cm, metav1.UpdateOptions{FieldManager: ManagedBy})
	} else {
		_, err = maps.Create(ctx, cm, metav1.CreateOptions{FieldManager: ManagedBy})
	}
	if err != nil {
		return false, s.explain("schedule drills", err)
	}
	return replaced, nil
}

func set(m *map[string]string, key, value string) {
	if *m == nil {
		*m = map[string]string{}
	}
	(*m)[key] = value
}

// Remove deletes a ConfigMap of scheduled drills.
func (s *Schedules) Remove(ctx context.Context, name string) error {
	if err := s.client.CoreV1().ConfigMaps(s.namespace).Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return s.explain("remove scheduled drills", err)
	}
	return nil
}

// SetPaused stops the drills of a ConfigMap from running by themselves, or lets them go on.
func (s *Schedules) SetPaused(ctx context.Context, name string, paused bool) error {
	var value any
	if paused {
		value = "true"
	}
	if err := s.annotate(ctx, name, AnnotationPaused, value); err != nil {
		return s.explain("pause or resume scheduled drills", err)
	}
	return nil
}

// SetProblem shows on the ConfigMap why not everything in it is scheduled; an empty text takes that away.
func (s *Schedules) SetProblem(ctx context.Context, name, text string) error {
	var value any
	if text != "" {
		value = text
	}
	if err := s.annotate(ctx, name, AnnotationProblem, value); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("annotate ConfigMap %s: %w", name, err)
	}
	return nil
}

func (s *Schedules) annotate(ctx context.Context, name, key string, value any) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{key: value}}})
	if err != nil {
		return err
	}
	_, err = s.client.CoreV1().ConfigMaps(s.namespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: ManagedBy})
	return err
}

// Book reads the server's book of schedules, and the version to save it over. Both are empty when there is none.
func (s *Schedules) Book(ctx context.Context) (book []byte, version string, err error) {
	cm, err := s.client.CoreV1().ConfigMaps(s.namespace).Get(ctx, bookName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", s.explain("read the book of schedules", err)
	}
	return []byte(cm.Data[bookKey]), cm.ResourceVersion, nil
}

// SaveBook writes the book, on condition that nobody else did since it was read, and returns the version to save it over
// the next time; else it returns an error for which apierrors.IsConflict or IsAlreadyExists holds.
func (s *Schedules) SaveBook(ctx context.Context, book []byte, version string) (saved string, err error) {
	cm := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: bookName, Namespace: s.namespace, ResourceVersion: version,
			Labels: map[string]string{LabelDrills: bookKept, LabelManagedBy: ManagedBy}},
		Data: map[string]string{bookKey: string(book)}}
	if version == "" {
		cm, err = s.client.CoreV1().ConfigMaps(s.namespace).Create(ctx, cm, metav1.CreateOptions{FieldManager: ManagedBy})
	} else {
		cm, err = s.client.CoreV1().ConfigMaps(s.namespace).Update(ctx, cm, metav1.UpdateOptions{FieldManager: ManagedBy})
	}
	if err != nil {
		return "", fmt.Errorf("save the book of schedules: %w", err)
	}
	return cm.ResourceVersion, nil
}

// explain turns what the user can mend into a refusal.
func (s *Schedules) explain(what string, err error) error {
	switch {
	case apierrors.IsNotFound(err) && strings.Contains(err.Error(), "namespaces"):
		return &drill.Refusal{Code: "not_installed", Err: err,
			Text: "drill is not installed in this cluster. Install it with drill install, or choose another context"}
	case apierrors.IsForbidden(err):
		return &drill.Refusal{Code: "forbidden", Err: err, Text: fmt.Sprintf(
			"you may not %s in namespace %s. Ask for the ClusterRole drill-scheduler there: kubectl -n %s create rolebinding NAME --clusterrole drill-scheduler --user YOU",
			what, s.namespace, s.namespace)}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// ScheduleSource is how the book names a ConfigMap of drills.
func ScheduleSource(name string) string { return "configmap " + name }
