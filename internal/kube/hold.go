package kube

import (
	"context"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/failoverdrill/drill/internal/drill"
)

// HoldName is the ConfigMap in drill's namespace that stops everything while it is there. ClusterRole drill-operator may
// write it.
const HoldName = "drill-hold"

// Keys of that ConfigMap. All may be missing: a hold made in haste, with kubectl, is one as well.
const (
	holdReason = "reason"
	holdBy     = "by"
	holdSince  = "since" // RFC 3339, by the API server's clock, as the next one
	holdUntil  = "until"
)

// holdEvery is how often a runner looks for a hold.
const holdEvery = time.Second

// Hold is the emergency brake: nothing starts, and what is in flight reverts and ends.
type Hold struct {
	Reason string    `json:"reason,omitempty"`
	By     string    `json:"by,omitempty"` // whoever made it, by the cluster's word
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero"` // zero lasts until drill resume
}

// String says it as a reason: "drill is on hold (REASON), by USER until TIME".
func (h Hold) String() string {
	text := "drill is on hold"
	if h.Reason != "" {
		text += " (" + drill.Clean(h.Reason) + ")"
	}
	if h.By != "" {
		text += ", by " + drill.Clean(h.By)
	}
	if !h.Until.IsZero() {
		text += ", until " + h.Until.UTC().Format(time.RFC3339)
	}
	return text
}

// Refusal is why nothing starts.
func (h Hold) Refusal() *drill.Refusal {
	return &drill.Refusal{Code: "held", Text: h.String() + ". Nothing starts until it ends: drill status, drill resume"}
}

// Holds is the store of the hold of one namespace.
type Holds struct {
	client    kubernetes.Interface
	namespace string
}

// NewHolds opens the store; an empty namespace is drill's own.
func NewHolds(client kubernetes.Interface, namespace string) *Holds {
	if namespace == "" {
		namespace = Namespace
	}
	return &Holds{client: client, namespace: namespace}
}

// Get returns the hold that is in force; nil when there is none. One that cannot be read completely is in force. Whether
// its time has passed is judged by the API server's clock, and by this machine's only where that cannot be asked.
func (s *Holds) Get(ctx context.Context) (*Hold, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	cm, err := s.client.CoreV1().ConfigMaps(s.namespace).Get(ctx, HoldName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read whether drill is on hold: %w", err)
	}
	hold := &Hold{Reason: cm.Data[holdReason], By: cm.Data[holdBy], Since: cm.CreationTimestamp.Time}
	if since, err := time.Parse(time.RFC3339, cm.Data[holdSince]); err == nil {
		hold.Since = since
	}
	if text := cm.Data[holdUntil]; text != "" {
		until, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return hold, nil // it is meant to be one: until somebody ends it
		}
		hold.Until = until
		if now, err := s.Now(ctx); err != nil && time.Now().After(until) || err == nil && now.After(until) {
			return nil, nil
		}
	}
	return hold, nil
}

// Now is the time by the API server's clock, in whole seconds. Everybody may ask.
func (s *Holds) Now(ctx context.Context) (time.Time, error) {
	review, err := s.client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return time.Time{}, fmt.Errorf("ask the API server for its time: %w", err)
	}
	if review.CreationTimestamp.IsZero() {
		return time.Now(), nil // an older API server
	}
	return review.CreationTimestamp.Time, nil
}

// Set begins a hold, or replaces the one that is there. It is a server-side apply, because the right to create can be
// limited to a name there alone.
func (s *Holds) Set(ctx context.Context, hold Hold) error {
	until := ""
	if !hold.Until.IsZero() {
		until = hold.Until.UTC().Format(time.RFC3339)
	}
	since := hold.Since.UTC().Format(time.RFC3339)
	_, err := s.client.CoreV1().ConfigMaps(s.namespace).Apply(ctx, corev1ac.ConfigMap(HoldName, s.namespace).
		WithLabels(map[string]string{LabelManagedBy: ManagedBy}).
		WithData(map[string]string{holdReason: drill.Clean(hold.Reason), holdBy: drill.Clean(hold.By), holdSince: since, holdUntil: until}),
		metav1.ApplyOptions{FieldManager: ManagedBy, Force: true})
	return s.explain("hold drill", err)
}

// End ends the hold. It reports whether there was one.
func (s *Holds) End(ctx context.Context) (was bool, err error) {
	err = s.client.CoreV1().ConfigMaps(s.namespace).Delete(ctx, HoldName, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, s.explain("end the hold", err)
}

func (s *Holds) explain(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err):
		return &drill.Refusal{Code: "not_installed", Err: err,
			Text: "drill is not installed in this cluster. Install it with drill install, or choose another context"}
	case apierrors.IsForbidden(err):
		return &drill.Refusal{Code: "forbidden", Err: err, Text: fmt.Sprintf(
			"you may not %s. Ask for the ClusterRole drill-operator in namespace %s: kubectl -n %s create rolebinding NAME --clusterrole drill-operator --user YOU",
			what, s.namespace, s.namespace)}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// heldError is the cause with which a hold ends a run.
type heldError struct{ Hold }

func (e heldError) Error() string { return e.String() }

// Watch returns a context that ends when a hold comes into force, with the hold as the cause. A hold that cannot be read
// changes nothing: a run in flight goes on, because what it broke heals by its own deadlines, and an API server that is
// away is no emergency. The failed function is called when a look fails after one that did not, and may be nil.
func (s *Holds) Watch(ctx context.Context, failed func(error)) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		failing := false
		for ctx.Err() == nil {
			hold, err := s.Get(ctx)
			if hold != nil && err == nil {
				cancel(heldError{*hold})
				return
			}
			if err != nil && !failing && failed != nil && ctx.Err() == nil {
				failed(err)
			}
			failing = err != nil
			sleep(ctx, holdEvery)
		}
	}()
	return ctx, func() { cancel(nil); <-over }
}
