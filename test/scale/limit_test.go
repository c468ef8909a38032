//go:build bench

package scale

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/kube"
)

// group is a control group with a limit of memory, of cgroup v1 or v2. Making one takes root.
type group struct{ dir, most, peak, failed string }

func newGroup(t *testing.T, limit int) *group {
	name := fmt.Sprint("drill-scale-", os.Getpid())
	g := &group{filepath.Join("/sys/fs/cgroup/memory", name), "memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.failcnt"}
	if _, err := os.Stat("/sys/fs/cgroup/memory"); err != nil {
		g = &group{filepath.Join("/sys/fs/cgroup", name), "memory.max", "memory.peak", "memory.events"}
	}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		t.Skip("no control group can be made: ", err)
	}
	t.Cleanup(func() { _ = os.Remove(g.dir) })
	require.NoError(t, os.WriteFile(filepath.Join(g.dir, g.most), []byte(strconv.Itoa(limit)), 0o600))
	return g
}

func (g *group) read(file string) string {
	raw, _ := os.ReadFile(filepath.Join(g.dir, file))
	return strings.TrimSpace(string(raw))
}

// anonymous is the memory that cannot be taken back, in MiB: of all processes, without the pages of files.
func (g *group) anonymous() float64 {
	for line := range strings.Lines(g.read("memory.stat")) {
		if f := strings.Fields(line); len(f) == 2 && (f[0] == "total_rss" || f[0] == "anon") {
			n, _ := strconv.ParseFloat(f[1], 64)
			return n / (1 << 20)
		}
	}
	return -1
}

// look asks for the page once.
func (s *server) look() {
	if resp, err := http.Get(s.url + "/"); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
}

// TestServerAndReaderFitTheLimit: a server as it is installed, beside 5,000 records, while readers read files at the bound
// of words. Both are in one container of 256 MiB.
func TestServerAndReaderFitTheLimit(t *testing.T) {
	g := newGroup(t, 256<<20)
	c := newCluster(t)
	c.fill(0, 5000, true)
	limit := os.Getenv("MOST")
	if limit == "" {
		limit = "160MiB"
	}
	warm := c.serve(29300)
	warm.counted(5000)
	warm.stop()
	s := c.serveWith(29301, limit, "/bin/sh", "-c", `echo $$ > `+g.dir+`/cgroup.procs; exec "$0" "$@"`)
	most := 0.0
	done := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			most = max(most, g.anonymous())
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	source := strings.Repeat("b{}\n", 16000) // of all shapes the one for which a reader needs the most
	for i := range 40 {
		run := &kube.DrillRun{TypeMeta: metav1.TypeMeta{APIVersion: kube.Resource.GroupVersion().String(), Kind: kube.Kind},
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("words-%02d", i), Namespace: kube.Namespace},
			Spec:       kube.Spec{Drill: "d", File: "a.hcl", Source: source + strings.Repeat("#", i), Requester: kube.Requester{User: "admin", Groups: []string{"system:masters", "system:authenticated"}}}}
		_, err := c.client.Dynamic.Resource(kube.Resource).Namespace(kube.Namespace).Create(t.Context(), c.object(run), metav1.CreateOptions{})
		require.NoError(t, err)
		if i%4 == 0 {
			s.look()
		}
		require.Eventually(t, func() bool {
			got, err := kube.NewRuns(c.client.Dynamic, "").Get(context.Background(), run.Name)
			return err == nil && got.Finished()
		}, time.Minute, 20*time.Millisecond)
	}
	close(done)
	<-stopped
	select {
	case <-s.done:
		t.Fatal("the server ended")
	default:
	}
	run, err := kube.NewRuns(c.client.Dynamic, "").Get(t.Context(), "words-39")
	require.NoError(t, err)
	load, _ := os.ReadFile("/proc/loadavg")
	t.Logf("GOMEMLIMIT %s: the server's peak %.1f MiB; of server and reader %.1f MiB at most are not pages of files, of 256; the group's peak %s bytes, failures %q; load %.5s; %s",
		limit, s.memory("VmHWM"), most, g.read(g.peak), g.read(g.failed), load, run.Status.Message)
	require.Less(t, most, 230.0)
	s.stop()
}
