package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"

	"github.com/failoverdrill/drill/internal/drill"
)

// HeldMembers is the ConfigMap, in drill's namespace, whose keys name the members that a policy keeps from being bound
// to a node.
const HeldMembers = "drill-held-members"

// HeldPolicy is the admission policy that denies those bindings.
const HeldPolicy = "held-members.failoverdrill.io"

const (
	// longestHeldKey is a ConfigMap's bound on a key.
	longestHeldKey = 253
	// provenWithin is how long the policy may take to deny what the map names.
	provenWithin = 5 * time.Second
	// generated is how many characters Kubernetes adds to a name that it generates, and longestPrefix what it keeps before them.
	generated, longestPrefix = 5, 58
)

// HeldMember is one entry of the map.
type HeldMember struct {
	Run   string    `json:"run"`
	UID   string    `json:"uid"` // of the member that was killed
	Until time.Time `json:"until"`
	// Hold is the length of the hold in seconds: whoever ends it goes by its own clock, too.
	Hold float64 `json:"hold_seconds"`
}

// HeldKey is the key that holds down whatever comes in a pod's place. Pods with a name of their own come back under it.
// Those with generated names are held by what their names begin with: prefixed is true, and the key ends in "_", which no
// name does and which stands for the five characters.
func HeldKey(pod *corev1.Pod) (key string, prefixed bool, err error) {
	name := pod.Name
	prefix := pod.GenerateName
	if len(prefix) > longestPrefix {
		prefix = prefix[:longestPrefix]
	}
	owner := metav1.GetControllerOf(pod)
	if owner != nil && owner.Kind != "StatefulSet" && prefix != "" && len(name) == len(prefix)+generated && strings.HasPrefix(name, prefix) {
		name, prefixed = prefix+"_", true
	}
	key = pod.Namespace + "." + name
	switch {
	case pod.Namespace == metav1.NamespaceSystem || pod.Namespace == Namespace:
		return "", false, &drill.Refusal{Code: "not_holdable", Text: fmt.Sprintf("pods of namespace %s cannot be held down; leave out hold_down", pod.Namespace)}
	case len(key) > longestHeldKey:
		return "", false, &drill.Refusal{Code: "not_holdable", Text: fmt.Sprintf("%s/%s cannot be held down: its name is too long; leave out hold_down", pod.Namespace, pod.Name)}
	}
	return key, prefixed, nil
}

// HeldBy reports whether a key is about a pod.
func HeldBy(key string, pod *corev1.Pod) bool {
	prefix, prefixed := strings.CutSuffix(key, "_")
	if !prefixed {
		return key == pod.Namespace+"."+pod.Name
	}
	full := pod.Namespace + "." + pod.Name
	return len(full) == len(prefix)+generated && strings.HasPrefix(full, prefix)
}

// HeldPermissions are the rights that Hold and LetGo need, beside one to delete pods where the member is.
func HeldPermissions() []drill.Permission {
	return []drill.Permission{
		{Verb: "get", Resource: "configmaps", Namespace: Namespace, Name: HeldMembers},
		{Verb: "patch", Resource: "configmaps", Namespace: Namespace, Name: HeldMembers},
		{Verb: "create", Resource: "pods/binding", Namespace: Namespace},
	}
}

// HoldDown keeps the pods that the key means from being bound to a node, and returns once a dry run has shown that the API
// server denies it. A *drill.Refusal says that it cannot be done; LetGo undoes it in any case.
func HoldDown(ctx context.Context, client kubernetes.Interface, key string, m HeldMember) error {
	value, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode what is held: %w", err)
	}
	proof := heldProof(m.Run)
	if err := setHeld(ctx, client, map[string]any{key: string(value), Namespace + "." + proof: string(value)}, ""); err != nil {
		if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) || apierrors.IsInvalid(err) {
			return &drill.Refusal{Code: "cannot_hold", Err: err, Text: fmt.Sprintf(
				"the member cannot be held down: ConfigMap %s/%s was not changed. drill install makes it", Namespace, HeldMembers)}
		}
		return err
	}
	return proveHeld(ctx, client, proof)
}

// heldProof is the name of a pod that does not exist, by which a run asks whether bindings are denied. It is held by the
// same write as the member: what denies its binding knows the member, too.
func heldProof(run string) string { return "proof-" + run }

func proveHeld(ctx context.Context, client kubernetes.Interface, name string) error {
	ctx, cancel := context.WithTimeout(ctx, provenWithin)
	defer cancel()
	binding := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: name}, Target: corev1.ObjectReference{Kind: "Node", Name: "none"}}
	for {
		err := client.CoreV1().Pods(Namespace).Bind(ctx, binding, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		switch {
		case apierrors.IsForbidden(err) && strings.Contains(err.Error(), HeldPolicy):
			return nil
		case apierrors.IsForbidden(err):
			return &drill.Refusal{Code: "cannot_hold", Err: err, Text: "the member cannot be held down: it cannot be shown that its binding would be denied"}
		}
		if !sleep(ctx, 50*time.Millisecond) {
			if err == nil {
				err = errors.New("a dry run of a binding was accepted")
			}
			return &drill.Refusal{Code: "cannot_hold", Err: err, Text: fmt.Sprintf(
				"the member cannot be held down: the admission policy %s is not in force. drill install makes it. "+
					"If it is there, somebody had deleted it, and the API server must be started anew before it reads the policy's ConfigMap again", HeldPolicy)}
		}
	}
}

// LetGo takes a run's entry out of the map, and that of its proof. It may be repeated; what another run holds stays.
func LetGo(ctx context.Context, client kubernetes.Interface, run, key string) error {
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		held, version, err := ReadHeld(ctx, client)
		if err != nil {
			return err
		}
		gone := map[string]any{}
		for _, k := range []string{key, Namespace + "." + heldProof(run)} {
			if m, there := held[k]; there && m.Run == run {
				gone[k] = nil
			}
		}
		return setHeld(ctx, client, gone, version)
	})
}

// ReadHeld lists what is held, and the version of the map. An entry that cannot be read has no run.
func ReadHeld(ctx context.Context, client kubernetes.Interface) (held map[string]HeldMember, version string, err error) {
	cm, err := client.CoreV1().ConfigMaps(Namespace).Get(ctx, HeldMembers, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("read which members are held: %w", err)
	}
	held = make(map[string]HeldMember, len(cm.Data))
	for key, value := range cm.Data {
		var m HeldMember
		if json.Unmarshal([]byte(value), &m) != nil {
			m = HeldMember{}
		}
		held[key] = m
	}
	return held, cm.ResourceVersion, nil
}

// DropHeld takes entries out of the map, whosever they are, unless it has changed since the version.
func DropHeld(ctx context.Context, client kubernetes.Interface, keys []string, version string) error {
	gone := map[string]any{}
	for _, k := range keys {
		gone[k] = nil
	}
	return setHeld(ctx, client, gone, version)
}

// setHeld sets entries of the map and removes those that are nil, and touches no others. A version makes it a compare-and-swap.
func setHeld(ctx context.Context, client kubernetes.Interface, entries map[string]any, version string) error {
	if len(entries) == 0 {
		return nil
	}
	change := map[string]any{"data": entries}
	if version != "" {
		change["metadata"] = map[string]any{"resourceVersion": version}
	}
	patch, err := json.Marshal(change)
	if err != nil {
		return fmt.Errorf("encode what is held: %w", err)
	}
	_, err = client.CoreV1().ConfigMaps(Namespace).Patch(ctx, HeldMembers, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: ManagedBy})
	if err != nil {
		return fmt.Errorf("change which members are held: %w", err)
	}
	return nil
}
