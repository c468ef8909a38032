package faults

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

const (
	// heldEvery is how often it is looked whether a member that is held down has come back.
	heldEvery = 500 * time.Millisecond
	// heldWithin bounds one look.
	heldWithin = 5 * time.Second
)

// heldWatch looks whether a pod that is held down gets a node all the same: by an API server that does not know yet, by
// somebody who ended the hold, or because its template names the node.
type heldWatch struct {
	key    string
	victim drill.Member
	// before are those that were there when the victim was killed.
	before map[types.UID]bool

	end  context.CancelFunc
	over chan struct{}

	mu   sync.Mutex
	came error
}

func newHeldWatch(key string, victim drill.Member) *heldWatch {
	return &heldWatch{key: key, victim: victim}
}

// start looks until stop.
func (w *heldWatch) start(ctx context.Context, d Deps) {
	ctx, w.end = context.WithCancel(context.WithoutCancel(ctx))
	w.over = make(chan struct{})
	go func() {
		defer close(w.over)
		tick := time.NewTicker(heldEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				// What cannot be read now is seen later: a pod that has a node keeps it.
				if _ = w.look(ctx, d); w.broken() != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
}

func (w *heldWatch) stop() {
	if w.end != nil {
		w.end()
		<-w.over
	}
}

// look notes the first pod in the victim's place that has a node. The first look of all notes who is there before.
func (w *heldWatch) look(ctx context.Context, d Deps) error {
	ctx, cancel := context.WithTimeout(ctx, heldWithin)
	defer cancel()
	pods, err := w.pods(ctx, d)
	if err != nil {
		return err
	}
	if w.before == nil {
		w.before = map[types.UID]bool{types.UID(w.victim.UID): true}
		for i := range pods {
			w.before[pods[i].UID] = true
		}
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range pods {
		if p := &pods[i]; !w.before[p.UID] && p.Spec.NodeName != "" && w.came == nil {
			w.came = fmt.Errorf("%w: %s was to be held down, and pod %s (uid %s) came on node %s in its place",
				drill.ErrNotConfirmed, w.victim, p.Name, p.UID, p.Spec.NodeName)
		}
	}
	return nil
}

func (w *heldWatch) pods(ctx context.Context, d Deps) ([]corev1.Pod, error) {
	pods := d.Kube.CoreV1().Pods(w.victim.Namespace)
	if w.key == w.victim.Namespace+"."+w.victim.Name {
		pod, err := pods.Get(ctx, w.victim.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return []corev1.Pod{*pod}, nil
	}
	list, err := pods.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var held []corev1.Pod
	for _, p := range list.Items {
		if kube.HeldBy(w.key, &p) {
			held = append(held, p)
		}
	}
	return held, nil
}

// broken is what came in the victim's place; nil while nothing has.
func (w *heldWatch) broken() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.came
}
