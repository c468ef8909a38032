package kube_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	dynamicfake "k8s.io/client-go/dynamic/fake"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// monster fills any value with what is too long, too many, or not what a report has.
type monster struct {
	*rand.Rand
	room int // bytes that it may still use
}

func (m *monster) text() string {
	alphabet := []string{"x", "ö", "😀", "\n", "\x1b", "\"", "<", "\xff"}
	size := []int{0, 3, 100, 3000, 50_000, 2 << 20}[min(m.IntN(7), 5)]
	size = min(size, m.room)
	m.room -= size
	return strings.Repeat(alphabet[m.IntN(len(alphabet))], size)
}

func (m *monster) fill(v reflect.Value, depth int) {
	if depth > 9 {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(m.text())
	case reflect.Int, reflect.Int64:
		v.SetInt(m.Int64N(math.MaxInt64))
	case reflect.Float64:
		v.SetFloat([]float64{0, math.Inf(1), math.NaN(), 1e300, -1, m.Float64()}[m.IntN(6)])
	case reflect.Bool:
		v.SetBool(m.IntN(2) == 0)
	case reflect.Pointer:
		if m.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			m.fill(v.Elem(), depth+1)
		}
	case reflect.Slice:
		n := []int{0, 1, 5, 300}[m.IntN(4)]
		if depth > 3 {
			n = min(n, 5)
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			m.fill(v.Index(i), depth+1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range m.IntN(60) {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			m.fill(key, depth+1)
			m.fill(value, depth+1)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		if at, ok := reflect.TypeAssert[*time.Time](v.Addr()); ok {
			*at = time.Unix(m.Int64N(1<<40), 0)
			return
		}
		for _, field := range v.Fields() {
			if field.CanSet() {
				m.fill(field, depth+1)
			}
		}
	}
}

// TestT15AnyReportFits: a report that does not fit is a run without a verdict.
func TestT15AnyReportFits(t *testing.T) {
	for seed := range uint64(20) {
		m := &monster{rand.New(rand.NewPCG(seed, 15)), 1 << 20}
		report := new(drill.Report)
		m.fill(reflect.ValueOf(report).Elem(), 0)
		report.Run.ID, report.Run.Verdict = "the-run", drill.VerdictFailed
		raw, err := kube.Fit(report)
		require.NoError(t, err, seed)
		require.LessOrEqual(t, len(raw), kube.MaxReport, seed)
		var got drill.Report
		require.NoError(t, json.Unmarshal(raw, &got), seed)
		require.Equal(t, drill.VerdictFailed, got.Run.Verdict, seed)
		require.Equal(t, "the-run", got.Run.ID, seed)
	}
}

// TestT15LongReasonsKeepTheNumbers: 60 pods by 60 whose paths are named one by one took the verdict and the numbers.
func TestT15LongReasonsKeepTheNumbers(t *testing.T) {
	report := &drill.Report{Run: drill.RunReport{ID: "r", Verdict: drill.VerdictInvalid, Reasons: []drill.Reason{{Code: "unconfirmed", Text: strings.Repeat("a path to a pod; ", 1<<17)}}},
		Recovery: &drill.RecoveryReport{Estimate: drill.Estimate{Estimate: 12, Lower: 11, Upper: 13}}}
	raw, err := kube.Fit(report)
	require.NoError(t, err)
	var got drill.Report
	require.NoError(t, json.Unmarshal(raw, &got))
	require.Equal(t, drill.Seconds(12), got.Recovery.Estimate.Estimate)
	require.Contains(t, got.Run.Reasons[0].Text, "bytes more)")
	require.LessOrEqual(t, len(got.Run.Reasons[0].Text), kube.MaxText)
	require.Greater(t, len(report.Run.Reasons[0].Text), 2<<20, "the report itself is left alone")
}

// TestT15FinishFits: whatever the report, the message, what is left of the faults and the detail's problem are.
func TestT15FinishFits(t *testing.T) {
	long := strings.Repeat("ö\n", 1<<20)
	run := &kube.DrillRun{TypeMeta: metav1.TypeMeta{APIVersion: kube.Resource.GroupVersion().String(), Kind: kube.Kind},
		ObjectMeta: metav1.ObjectMeta{Name: "r", Namespace: kube.Namespace}, Spec: kube.Spec{Drill: "d", Source: strings.Repeat("x", 512<<10)},
		Status: kube.Status{Phase: kube.PhaseRunning, Generation: 1, Runner: kube.Runner{UID: "u"}}}
	raw, err := json.Marshal(run)
	require.NoError(t, err)
	u, err := runtime.Decode(unstructured.UnstructuredJSONScheme, raw)
	require.NoError(t, err)
	runs := kube.NewRuns(dynamicfake.NewSimpleDynamicClient(runtime.NewScheme(), u), "")
	journal := runs.Journal("r", 1)
	for i := range 32 {
		name := string(rune('a' + i))
		require.NoError(t, journal.Injecting(t.Context(), "k", name, json.RawMessage(`{"a":"`+strings.Repeat("s", 7<<10)+`"}`)))
		residue := make([]string, 30)
		for j := range residue {
			residue[j] = long[:4<<10]
		}
		require.NoError(t, journal.Reverted(t.Context(), "k", name, residue))
	}
	require.ErrorContains(t, journal.Injecting(t.Context(), "k", "more", json.RawMessage(`{"a":"`+strings.Repeat("s", 128<<10)+`"}`)), "Let them touch less")
	report := &drill.Report{Run: drill.RunReport{ID: "r", Verdict: drill.VerdictFailed, Reasons: []drill.Reason{{Text: long}}}}
	require.NoError(t, journal.Finish(t.Context(), kube.Outcome{Verdict: drill.VerdictFailed, Report: report, Detail: &kube.DetailRecord{Problem: long}}))
	got, err := runs.Get(t.Context(), "r")
	require.NoError(t, err)
	require.LessOrEqual(t, len(got.Status.Message), kube.MaxText)
	raw, err = json.Marshal(got)
	require.NoError(t, err)
	require.Less(t, len(raw), 1300<<10, "etcd takes 1.5 MiB, with the managed fields")
}

func TestCutText(t *testing.T) {
	require.Equal(t, "short", kube.CutText("short", 10))
	for _, most := range []int{0, 5, 23, 40, 100} {
		for shift := range 4 {
			got := kube.CutText(strings.Repeat("x", shift)+strings.Repeat("😀", 100), most)
			require.LessOrEqual(t, len(got), most)
			require.True(t, utf8.ValidString(got))
			if most >= 40 {
				require.Contains(t, got, "bytes more)")
			}
		}
	}
	once := kube.CutText(strings.Repeat("y", 500), 100)
	require.Equal(t, once, kube.CutText(once, 100), "a cut text is not cut again")
	one, two := kube.CutName(strings.Repeat("n", 300)+"1", 100), kube.CutName(strings.Repeat("n", 300)+"2", 100)
	require.NotEqual(t, one, two)
	require.LessOrEqual(t, len(one), 100)
	require.Len(t, kube.CutTexts(make([]string, 50), 20), 21)
}
