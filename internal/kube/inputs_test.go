package kube_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

const canary = "canary-7f3a"

func taken() (open, secret drill.Inputs) {
	return drill.Inputs{Variables: map[string]json.RawMessage{"namespace": json.RawMessage(`"shop"`), "n": json.RawMessage(`123456789012345678901234567890.5`)}},
		drill.Inputs{Variables: map[string]json.RawMessage{"password": json.RawMessage(`"` + canary + `"`)},
			Env: map[string]string{"DSN": canary}, Files: map[string]string{"ca.pem": canary}}
}

func sealedRun(t *testing.T, name string, uid types.UID) (*kube.DrillRun, []byte) {
	t.Helper()
	in, payload, err := kube.SealInputs(taken())
	require.NoError(t, err)
	return &kube.DrillRun{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: kube.Namespace, UID: uid}, Spec: kube.Spec{Inputs: in}}, payload
}

func TestTheRecordShowsNoSecretInput(t *testing.T) {
	run, payload := sealedRun(t, "r", "u")
	record, err := json.Marshal(run)
	require.NoError(t, err)
	require.NotContains(t, string(record), canary)
	require.NotContains(t, string(record), "DSN")
	require.Contains(t, string(record), "123456789012345678901234567890.5", "the API server would round it, were it a number")
	require.Contains(t, string(payload), canary)

	open, secret := taken()
	again, err := run.Spec.Inputs.Unseal(payload)
	require.NoError(t, err)
	require.Equal(t, open.With(secret), again)

	// Whoever reads the record cannot try out values: the same ones look different each time.
	other, _ := sealedRun(t, "r", "u")
	require.NotEqual(t, run.Spec.Inputs.Secret, other.Spec.Inputs.Secret)
	require.Len(t, run.Spec.Inputs.Secret, 64)
}

func TestNothingSecretTakesNoSecret(t *testing.T) {
	open, _ := taken()
	in, payload, err := kube.SealInputs(open, drill.Inputs{})
	require.NoError(t, err)
	require.Nil(t, payload)
	require.Empty(t, in.Secret)
	raw, err := json.Marshal(kube.Spec{})
	require.NoError(t, err)
	require.NotContains(t, string(raw), "inputs", "a run without any is as it was before there were inputs")

	// What a record has no place for is never left out, and never shown.
	open.Env = map[string]string{"DSN": canary}
	in, payload, err = kube.SealInputs(open, drill.Inputs{})
	require.NoError(t, err)
	again, err := in.Unseal(payload)
	require.NoError(t, err)
	require.Equal(t, canary, again.Env["DSN"])
}

func TestInputsAreBounded(t *testing.T) {
	long := strings.Repeat("x", kube.MaxInputs)
	many := map[string]json.RawMessage{}
	for i := range 257 {
		many[fmt.Sprint("v", i)] = json.RawMessage("1")
	}
	for _, in := range [][2]drill.Inputs{ // as the policy for sizes does
		{{Variables: many}, {}},
		{{Variables: map[string]json.RawMessage{strings.Repeat("n", 257): json.RawMessage("1")}}, {}},
		{{Variables: map[string]json.RawMessage{"v": json.RawMessage(`"` + long[:128<<10] + `"`)}}, {}},
		{{Variables: map[string]json.RawMessage{"v": json.RawMessage(`"` + long + `"`)}}, {}},
		{{}, {Files: map[string]string{"f": long}}},
	} {
		_, _, err := kube.SealInputs(in[0], in[1])
		require.Equal(t, "inputs_too_large", refused(t, err).Code)
		require.NotContains(t, err.Error(), "xxx")
	}
}

func refused(t *testing.T, err error) *drill.Refusal {
	t.Helper()
	var refusal *drill.Refusal
	require.ErrorAs(t, err, &refusal)
	return refusal
}

func TestARunReadsItsOwnSecretAlone(t *testing.T) {
	ctx := t.Context()
	client := fake.NewClientset()
	mine, payload := sealedRun(t, "mine", "uid-mine")
	_, _, err := kube.LoadInputs(ctx, client, mine)
	require.ErrorIs(t, err, kube.ErrNoInputs)
	require.NoError(t, kube.StoreInputs(ctx, client, mine, payload))
	require.NoError(t, kube.StoreInputs(ctx, client, mine, payload), "a server that was stopped in between makes it again")
	in, again, err := kube.LoadInputs(ctx, client, mine)
	require.NoError(t, err)
	require.Equal(t, payload, again)
	require.Equal(t, canary, in.Env["DSN"])
	secret, err := client.CoreV1().Secrets(kube.Namespace).Get(ctx, "drillrun-mine-inputs", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, kube.InputsType, secret.Type)
	require.True(t, *secret.Immutable)
	require.Equal(t, []metav1.OwnerReference{kube.OwnerOf(mine)}, secret.OwnerReferences, "it goes with its run")

	// A run that names another's digest finds no Secret under its own name; and one that its requester puts there is not it.
	thief := &kube.DrillRun{ObjectMeta: metav1.ObjectMeta{Name: "thief", Namespace: kube.Namespace, UID: "uid-thief"}, Spec: mine.Spec}
	_, _, err = kube.LoadInputs(ctx, client, thief)
	require.ErrorIs(t, err, kube.ErrNoInputs)
	_, forged := sealedRun(t, "", "")
	require.NoError(t, kube.StoreInputs(ctx, client, thief, forged))
	_, _, err = kube.LoadInputs(ctx, client, thief)
	require.Equal(t, "inputs_unreadable", refused(t, err).Code)
	require.NotContains(t, err.Error(), canary)

	// Nor can anybody give values to another's run, by making its Secret first.
	victim, _ := sealedRun(t, "victim", "uid-victim")
	require.NoError(t, kube.StoreInputs(ctx, client, victim, forged))
	_, _, err = kube.LoadInputs(ctx, client, victim)
	require.Equal(t, "inputs_unreadable", refused(t, err).Code)

	// A record of the same name that was deleted and made anew is another run.
	reborn := &kube.DrillRun{ObjectMeta: metav1.ObjectMeta{Name: "mine", Namespace: kube.Namespace, UID: "uid-new"}, Spec: mine.Spec}
	_, _, err = kube.LoadInputs(ctx, client, reborn)
	require.Equal(t, "inputs_of_another", refused(t, err).Code)

	require.NoError(t, kube.RemoveInputs(ctx, client, mine))
	require.NoError(t, kube.RemoveInputs(ctx, client, mine), "any number of times")
	_, _, err = kube.LoadInputs(ctx, client, mine)
	require.ErrorIs(t, err, kube.ErrNoInputs)
}

func TestASecretOfAnotherTypeIsNotRead(t *testing.T) {
	run, payload := sealedRun(t, "r", "u")
	client := fake.NewClientset(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: kube.InputsSecret("r"), Namespace: kube.Namespace,
		OwnerReferences: []metav1.OwnerReference{kube.OwnerOf(run)}}, Type: corev1.SecretTypeOpaque, Data: map[string][]byte{kube.InputsKey: payload}})
	_, _, err := kube.LoadInputs(t.Context(), client, run)
	require.Equal(t, "inputs_of_another", refused(t, err).Code)
}

func TestWhoeverMayNotMakeTheSecretIsToldHow(t *testing.T) {
	run, payload := sealedRun(t, "r", "u")
	client := fake.NewClientset()
	client.PrependReactor("create", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(corev1.Resource("secrets"), "x", nil)
	})
	refusal := refused(t, kube.StoreInputs(t.Context(), client, run, payload))
	require.Contains(t, refusal.Text, "--role drill-inputs")

	allowed := false
	client.PrependReactor("create", "selfsubjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		review := a.(clienttesting.CreateAction).GetObject().(*authorizationv1.SelfSubjectAccessReview).DeepCopy()
		require.Equal(t, "create", review.Spec.ResourceAttributes.Verb)
		require.Equal(t, "secrets", review.Spec.ResourceAttributes.Resource)
		require.Equal(t, kube.Namespace, review.Spec.ResourceAttributes.Namespace)
		review.Status.Allowed = allowed
		return true, review, nil
	})
	c := &kube.Client{Interface: client}
	require.Contains(t, refused(t, c.MayStoreInputs(t.Context())).Text, "--role drill-inputs", "before there is a run")
	allowed = true
	require.NoError(t, c.MayStoreInputs(t.Context()))
}

func TestOtherInputsAreAnotherSeries(t *testing.T) {
	one, _ := sealedRun(t, "s", "u")
	two := *one
	require.True(t, one.SameSeries(&two))
	two.Spec.Inputs.Variables = map[string]string{"namespace": `"bank"`}
	require.False(t, one.SameSeries(&two))
}
