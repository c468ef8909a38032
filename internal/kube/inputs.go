package kube

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/failoverdrill/drill/internal/drill"
)

// MaxInputs bounds what a run takes along in its Secret.
const MaxInputs = 512 << 10

// Bounds of the values that the record shows. The policy sizes.failoverdrill.io holds every requester to them.
const (
	maxShown        = 128 << 10 // in all, with their names
	maxVariables    = 256
	maxVariableName = 256 // bytes
)

// What a Secret with a run's inputs looks like. The policy inputs.failoverdrill.io holds requesters to exactly this.
const (
	InputsType corev1.SecretType = "failoverdrill.io/inputs"
	InputsKey  string            = "inputs.json"
)

// Inputs are, in a run's record, what its drill file took from outside.
type Inputs struct {
	// Variables are the values that may be shown, as JSON in a text: the API server would round a long number.
	Variables map[string]string `json:"variables,omitempty"`
	// Secret is the SHA-256 of what the run's Secret holds; empty when the run has none. It begins with a random number, so
	// that nobody can guess values by this. Nobody can give a run another Secret than the one that its requester made.
	Secret string `json:"secret,omitempty"`
}

// sealed is what the Secret holds.
type sealed struct {
	Salt string `json:"salt"`
	drill.Inputs
}

// SealInputs splits what a file took from outside: into what the record shows, and what the run's Secret holds, nil for none.
func SealInputs(open, secret drill.Inputs) (Inputs, []byte, error) {
	in := Inputs{}
	size := 0
	for name, value := range open.Variables {
		if in.Variables == nil {
			in.Variables = map[string]string{}
		}
		in.Variables[name] = string(value)
		size += len(name) + len(value)
		if len(name) > maxVariableName {
			return in, nil, &drill.Refusal{Code: "inputs_too_large", Text: fmt.Sprintf(
				"a variable's name has %d bytes, and one that a run takes along has at most %d", len(name), maxVariableName)}
		}
	}
	if len(open.Variables) > maxVariables {
		return in, nil, &drill.Refusal{Code: "inputs_too_large", Text: fmt.Sprintf(
			"%d variables have a value from outside the drill file, and a run takes at most %d along", len(open.Variables), maxVariables)}
	}
	if err := tooLarge(size, maxShown); err != nil {
		return in, nil, err
	}
	secret = drill.Inputs{Env: open.Env, Files: open.Files}.With(secret) // which a record has no place for
	if secret.Empty() {
		return in, nil, nil
	}
	payload, err := json.Marshal(sealed{Salt: rand.Text(), Inputs: secret})
	if err != nil {
		return in, nil, fmt.Errorf("encode the run's inputs: %w", err)
	}
	in.Secret = digest(payload)
	return in, payload, tooLarge(len(payload), MaxInputs)
}

func tooLarge(size, most int) error {
	if size <= most {
		return nil
	}
	return &drill.Refusal{Code: "inputs_too_large", Text: fmt.Sprintf(
		"the values of the drill file's variables, env() and file() are %d KiB long, and a run takes %d KiB along. Give it shorter ones", size>>10, most>>10)}
}

func digest(payload []byte) string {
	sum := sha256.Sum256(payload)
	return hex.EncodeToString(sum[:])
}

// Unseal is what the file took from outside, whole. The payload is nil when the run has no Secret.
func (i Inputs) Unseal(payload []byte) (drill.Inputs, error) {
	open := drill.Inputs{Variables: map[string]json.RawMessage{}}
	for _, name := range slices.Sorted(maps.Keys(i.Variables)) {
		if !json.Valid([]byte(i.Variables[name])) {
			return drill.Inputs{}, &drill.Refusal{Code: "inputs_unreadable", Text: fmt.Sprintf("spec.inputs.variables.%s is not JSON", name)}
		}
		open.Variables[name] = json.RawMessage(i.Variables[name])
	}
	if i.Secret == "" {
		return open, nil
	}
	if digest(payload) != i.Secret {
		return drill.Inputs{}, &drill.Refusal{Code: "inputs_unreadable", Text: "the Secret with the run's inputs is not the one that was made with the run"}
	}
	var secret sealed
	if err := json.Unmarshal(payload, &secret); err != nil { // without it, because it may quote a value
		return drill.Inputs{}, &drill.Refusal{Code: "inputs_unreadable", Text: "the Secret with the run's inputs cannot be read. Does the requester use another version of drill?"}
	}
	return open.With(secret.Inputs), nil
}

// InputsSecret is the name of the Secret with a run's inputs.
func InputsSecret(run string) string { return "drillrun-" + run + "-inputs" }

// ErrNoInputs says that a run's Secret is not there. It is made right after the run.
var ErrNoInputs = errors.New("the Secret with the run's inputs is not there")

// How the Secret with a run's inputs is made while another has its name.
const (
	handWithin = 20 * time.Second // as long as the server waits for it
	handEvery  = 300 * time.Millisecond
	replaced   = 5 // times in a row
)

// HandInputs makes the Secret with a run's inputs, for a requester, who may not see what is there already. A Secret that
// somebody else made under its name is the server's to delete; this tries again until that is done, or the run has gone on.
func HandInputs(ctx context.Context, client kubernetes.Interface, runs *Runs, run *DrillRun, payload []byte) error {
	for giveUp := time.Now().Add(handWithin); ; {
		made, err := createInputs(ctx, client, run, payload)
		if made || err != nil {
			return err
		}
		// Also when the answer to an attempt was lost: then the server goes on.
		now, err := runs.Get(ctx, run.Name)
		if err == nil && now.Status.Phase != "" && now.Status.Phase != PhasePending || apierrors.IsNotFound(err) {
			return nil // its record says how it went
		}
		if time.Now().After(giveUp) {
			return nil // the server says so better
		}
		if !sleep(ctx, handEvery) {
			return fmt.Errorf("create Secret %s: %w", InputsSecret(run.Name), context.Cause(ctx))
		}
	}
}

// StoreInputs makes the Secret with a run's inputs, unless it is there, for who may read and delete it: another's Secret
// of its name makes way. It belongs to the run, and goes with it.
func StoreInputs(ctx context.Context, client kubernetes.Interface, run *DrillRun, payload []byte) error {
	for range replaced {
		made, err := createInputs(ctx, client, run, payload)
		if made || err != nil {
			return err
		}
		strange, err := RemoveStrangeInputs(ctx, client, run)
		if !strange || err != nil {
			return err
		}
	}
	return fmt.Errorf("create Secret %s: somebody makes another of this name again and again", InputsSecret(run.Name))
}

// RemoveStrangeInputs deletes the Secret that has the name of a run's inputs if it is not the one that was made with the
// run: it has another owner, or holds something else. Nobody has any use for it. A Secret of another type is left alone, for
// requesters cannot make one. It reports whether there was a strange one.
func RemoveStrangeInputs(ctx context.Context, client kubernetes.Interface, run *DrillRun) (bool, error) {
	if run.Spec.Inputs.Secret == "" {
		return false, nil
	}
	name := InputsSecret(run.Name)
	s, err := client.CoreV1().Secrets(run.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return true, nil // it was there a moment ago
	}
	if err != nil {
		return false, fmt.Errorf("read Secret %s: %w", name, err)
	}
	if s.Type != InputsType || belongs(s, run) && digest(s.Data[InputsKey]) == run.Spec.Inputs.Secret {
		return false, nil
	}
	err = client.CoreV1().Secrets(run.Namespace).Delete(ctx, name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(s.UID))})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return true, fmt.Errorf("delete Secret %s, which is not its run's: %w", name, err)
	}
	return true, nil
}

func belongs(s *corev1.Secret, run *DrillRun) bool {
	return slices.ContainsFunc(s.OwnerReferences, func(o metav1.OwnerReference) bool { return o.UID == run.UID })
}

// createInputs makes the Secret; false when one of its name is there.
func createInputs(ctx context.Context, client kubernetes.Interface, run *DrillRun, payload []byte) (bool, error) {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: InputsSecret(run.Name), Namespace: run.Namespace, OwnerReferences: []metav1.OwnerReference{OwnerOf(run)},
			Labels: map[string]string{LabelManagedBy: ManagedBy, LabelRun: run.Name}},
		Type: InputsType, Immutable: new(true), Data: map[string][]byte{InputsKey: payload}}
	_, err := client.CoreV1().Secrets(run.Namespace).Create(ctx, s, metav1.CreateOptions{FieldManager: ManagedBy})
	switch {
	case err == nil:
		return true, nil
	case apierrors.IsAlreadyExists(err):
		return false, nil
	case apierrors.IsForbidden(err):
		return false, mayNotStore(run.Namespace, err)
	}
	return false, fmt.Errorf("create Secret %s: %w", s.Name, err)
}

// MayStoreInputs refuses a caller who could not make the Secret of a run, before there is a run.
func (c *Client) MayStoreInputs(ctx context.Context) error {
	denied, err := c.Denied(ctx, []Right{{Permission: drill.Permission{Verb: "create", Resource: "secrets", Namespace: Namespace}}})
	if err == nil && len(denied) > 0 {
		err = mayNotStore(Namespace, nil)
	}
	return err
}

func mayNotStore(namespace string, err error) error {
	return &drill.Refusal{Code: "forbidden", Err: err, Text: fmt.Sprintf(
		"the drill takes secret values along, in a Secret, and you may not create those in namespace %s. Ask for it: kubectl -n %s create rolebinding NAME --role drill-inputs --user YOU. "+
			"Or name a Kubernetes Secret beside the target in the drill file, with secret()", namespace, namespace)}
}

// LoadInputs reads what a run's file took from outside. A *drill.Refusal says why they cannot be the run's; ErrNoInputs
// that they are not there yet.
func LoadInputs(ctx context.Context, client kubernetes.Interface, run *DrillRun) (in drill.Inputs, payload []byte, err error) {
	if run.Spec.Inputs.Secret == "" {
		in, err = run.Spec.Inputs.Unseal(nil)
		return in, nil, err
	}
	name := InputsSecret(run.Name)
	s, err := client.CoreV1().Secrets(run.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return in, nil, ErrNoInputs
	}
	if err != nil {
		return in, nil, fmt.Errorf("read Secret %s: %w", name, err)
	}
	if !belongs(s, run) || s.Type != InputsType {
		return in, nil, &drill.Refusal{Code: "inputs_of_another", Text: fmt.Sprintf("there is a Secret %s in namespace %s that does not belong to this run. Delete it, and ask for the run again", name, run.Namespace)}
	}
	payload = s.Data[InputsKey]
	in, err = run.Spec.Inputs.Unseal(payload)
	return in, payload, err
}

// RemoveInputs deletes the Secret of a run that is over. It would go with the record, too, but records are kept for long.
func RemoveInputs(ctx context.Context, client kubernetes.Interface, run *DrillRun) error {
	if run.Spec.Inputs.Secret == "" {
		return nil
	}
	err := client.CoreV1().Secrets(run.Namespace).Delete(ctx, InputsSecret(run.Name), metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete Secret %s: %w", InputsSecret(run.Name), err)
	}
	return nil
}
