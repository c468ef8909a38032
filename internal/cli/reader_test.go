package cli

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/child"
	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/server"
)

// asReader makes the test program drill itself, or a reader that meets a file too large for it.
const asReader = "reader-of-tests"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == asReader {
		env := OS()
		env.Args = os.Args[2:]
		if os.Args[2] == "eat" {
			os.Exit(eat())
		}
		os.Exit(Main(env))
	}
	os.Exit(m.Run())
}

// eat takes memory without end, as a parser with a fault would.
func eat() int {
	if _, err := child.Input(os.Stdin); err != nil || child.Confine() != nil {
		return 1
	}
	var all [][]byte
	for range 4096 {
		all = append(all, bytes.Repeat([]byte("x"), 1<<20))
	}
	return len(all)
}

func testReader(t *testing.T, command string) *reader {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return newReader(child.New(self, asReader, command), &bytes.Buffer{})
}

// TestTheServerReadsInAChild: a reader of its own says what reading in the server would.
func TestTheServerReadsInAChild(t *testing.T) {
	r := testReader(t, "read")
	src := fmt.Sprintf(orders, "  schedule {\n    cron = \"0 10 1 * *\"\n    timezone = \"Europe/Berlin\"\n    jitter = \"5m\"\n    blackout = [\"2026-12-20/2027-01-05\"]\n  }\n", "")
	spec := kube.Spec{Drill: "kill", File: "kill.hcl", Source: src}
	here, err := admission(&Env{Stderr: &bytes.Buffer{}})(spec, drill.Inputs{})
	require.NoError(t, err)
	there, err := r.check(spec, drill.Inputs{})
	require.NoError(t, err)
	require.Equal(t, here, there)

	from := server.Source{File: "kill.hcl", Text: src, Beside: map[string]string{"a.drillvars.hcl": `zone = "bank"`}}
	want, in, err := drillReader(&Env{Stderr: &bytes.Buffer{}})(from)
	require.NoError(t, err)
	got, given, err := r.drills(from)
	require.NoError(t, err)
	require.Equal(t, in, given)
	require.Len(t, got, 1)
	require.Equal(t, want[0].Schedule, got[0].Schedule)
	require.Equal(t, want[0].Faults[0].Kind, got[0].Fault)
	require.Equal(t, []string{"bank"}, got[0].Namespaces)

	_, err = r.check(kube.Spec{Drill: "other", File: "kill.hcl", Source: src}, drill.Inputs{})
	require.ErrorContains(t, err, `holds no drill "other"`)
	began := time.Now()
	for range 100 {
		_, err = r.check(spec, drill.Inputs{})
		require.NoError(t, err)
	}
	require.Less(t, time.Since(began), time.Second, "the same file is read once")
}

// partitions is a file with many faults, each in two namespaces of its own.
func partitions(faults, namespaces int) string {
	var b strings.Builder
	b.WriteString("drill \"d\" {\n  target \"postgresql\" \"o\" {\n    namespace = \"n\"\n    selector  = \"a=b\"\n    dsn       = \"postgres://u:p@o.n/d\"\n  }\n")
	for i := range faults {
		fmt.Fprintf(&b, "fault \"network_partition\" \"f%d\" {\nduration=\"9s\"\nfrom={\nselector=\"a=b\"\nnamespace=\"n%d\"\n}\nto={\nselector=\"a=b\"\nnamespace=\"m%d\"\n}\n}\n",
			i, i%namespaces, i%namespaces)
	}
	return b.String() + "}\n"
}

// TestT2FaultsTimesNamespaces: the two files of the review are refused in a second, before anything is asked for. Its
// largest, of 2,200 faults, has too many words before it has too many faults.
func TestT2FaultsTimesNamespaces(t *testing.T) {
	r := testReader(t, "read")
	for name, src := range map[string]string{"1,100 faults in 2,200 namespaces": partitions(1100, 1100), "150 faults in 300 namespaces": partitions(150, 300)} {
		t.Run(name, func(t *testing.T) {
			require.Less(t, len(src), kube.MaxSource)
			began := time.Now()
			_, err := r.check(kube.Spec{Drill: "d", File: "d.hcl", Source: src}, drill.Inputs{})
			require.ErrorContains(t, err, "up to 32 blocks of type fault")
			require.ErrorContains(t, err, "up to 16 namespaces")
			t.Log(time.Since(began))
			require.Less(t, time.Since(began), child.Wall, "40 to 300 ms on a machine with nothing else to do")
		})
	}
	_, err := r.check(kube.Spec{Drill: "d", File: "d.hcl", Source: partitions(1950, 1950)}, drill.Inputs{})
	require.ErrorContains(t, err, "words, signs and lines, and drill's server reads up to")
	_, err = r.check(kube.Spec{Drill: "d", File: "d.hcl", Source: partitions(7, 7)}, drill.Inputs{})
	require.NoError(t, err)
}

// TestT1AReaderThatIsKilled: the server learns of it, and of a schedule's file it is remembered.
func TestT1AReaderThatIsKilled(t *testing.T) {
	r := testReader(t, "eat")
	var deadly *server.UnreadableError
	_, err := r.check(kube.Spec{Drill: "d", File: "d.hcl"}, drill.Inputs{})
	require.ErrorAs(t, err, &deadly)
	require.Empty(t, r.kept, "the run's record counts")
	_, _, err = r.drills(server.Source{File: "d.hcl"})
	require.ErrorAs(t, err, &deadly)
	require.ErrorContains(t, err, "could not be read within")
	require.Len(t, r.kept, 1)

	gone := newReader(child.New("/nonexistent"), &bytes.Buffer{})
	var later *server.LaterError
	_, err = gone.check(kube.Spec{}, drill.Inputs{})
	require.ErrorAs(t, err, &later)
	_, _, err = gone.drills(server.Source{})
	require.ErrorAs(t, err, &later)
	require.Empty(t, gone.kept)
}

// TestWhatIsKeptIsBounded: nobody fills the server with answers.
func TestWhatIsKeptIsBounded(t *testing.T) {
	r := newReader(nil, nil)
	for i := range 3000 {
		r.keep([32]byte{byte(i), byte(i >> 8)}, readResult{size: 1 << 10})
	}
	require.Len(t, r.kept, maxKept)
	require.Len(t, r.order, maxKept)
	for i := range 20 {
		r.keep([32]byte{0, 0, byte(i + 1)}, readResult{size: 1 << 20})
	}
	require.Len(t, r.kept, 4)
	require.LessOrEqual(t, r.size, maxKeptBytes)
}

// TestScheduledDrillsAreBounded: each takes room in the book that all schedules share.
func TestScheduledDrillsAreBounded(t *testing.T) {
	many := ""
	for i := range maxScheduled + 1 {
		many += fmt.Sprintf("drill \"d%d\" {\n  target \"postgresql\" \"o\" {\n    namespace = \"n\"\n    selector  = \"a=b\"\n    dsn       = secret(\"a\", \"b\")\n  }\n"+
			"  fault \"kill_primary\" \"o\" {}\n  schedule {\n    cron = \"0 10 1 * *\"\n    timezone = \"UTC\"\n  }\n}\n", i)
	}
	require.Contains(t, readHere(readTask{Schedule: &server.Source{File: "d.hcl", Text: many}}).Problem, "holds 65 drills with a schedule")
	long := readHere(readTask{Schedule: &server.Source{File: "d.hcl", Text: fmt.Sprintf(orders, "  schedule { cron = \"0 10 1 * *\" }\n", ""),
		Beside: map[string]string{"x.drillvars.hcl": fmt.Sprintf("limits = { lost = 0, z = %q }", strings.Repeat("z", maxVariables))}}})
	require.Contains(t, long.Problem, "KiB of variables")
}
