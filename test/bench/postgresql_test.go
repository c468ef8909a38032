//go:build bench

package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/targets"
	"github.com/failoverdrill/drill/test/postgres"
)

// binaries is where Debian puts PostgreSQL's.
const binaries = "/usr/lib/postgresql/15/bin"

// database is what a child has to know of the pair.
type database struct {
	DSN     string // straight to the primary: a relay would take a share of the processors
	Members []server
	Port    int32
	Run     string
	Targets int
	Rate    int  // Hz, of each target's pooled probe
	Pinned  bool // and the pinned probes of every member
}

type server struct{ Name, IP, Role string }

// newPair starts a primary and its standby, which take as many sessions as ten targets need.
func newPair(t *testing.T) (*postgres.Pair, database) {
	t.Helper()
	p := postgres.Start(t)
	for _, s := range []*postgres.Server{p.Second, p.First} { // a standby must not allow less than its primary
		s.Exec("ALTER SYSTEM SET max_connections = 1000")
		s.Stop()
		s.Start()
	}
	return p, database{
		DSN:     fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", postgres.User, postgres.Password, p.First.Address(), postgres.Database),
		Members: []server{{p.First.Name, p.First.IP, "master"}, {p.Second.Name, p.Second.IP, "replica"}},
		Port:    int32(p.Port), Run: "bench", Targets: 1, Rate: 50, //nolint:gosec // a port
	}
}

// cluster is an API server that describes the pair.
func (d database) cluster() (*fake.Clientset, error) {
	kube := fake.NewClientset()
	ctx := context.Background()
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders-abc", Labels: map[string]string{discoveryv1.LabelServiceName: "orders"}},
		Ports:      []discoveryv1.EndpointPort{{Port: &d.Port}},
	}
	for i, m := range d.Members {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "shop", Name: m.Name, UID: types.UID(fmt.Sprintf("uid-%d", i)), Labels: map[string]string{"app": "orders", "role": m.Role},
			},
			Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: m.IP},
		}
		if _, err := kube.CoreV1().Pods("shop").Create(ctx, pod, metav1.CreateOptions{}); err != nil {
			return nil, err
		}
		if m.Role == "master" {
			slice.Endpoints = []discoveryv1.Endpoint{{
				Addresses: []string{m.IP}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)},
				TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: m.Name},
			}}
		}
	}
	_, err := kube.DiscoveryV1().EndpointSlices("shop").Create(ctx, slice, metav1.CreateOptions{})
	return kube, err
}

// open makes the targets as a drill file would, and opens them.
func (d database) open(ctx context.Context) ([]targets.Target, error) {
	kube, err := d.cluster()
	if err != nil {
		return nil, err
	}
	kind, _ := targets.Find("postgresql")
	body, err := block(fmt.Sprintf("namespace = \"shop\"\nselector = \"app=orders\"\nservice = \"orders\"\ndsn = %q\nwrite_rate = %d\nfresh_rate = 0\n",
		d.DSN, d.Rate))
	if err != nil {
		return nil, err
	}
	spec, decoded := kind.Decode(body, nil)
	if decoded.Diagnostics.HasErrors() {
		return nil, decoded.Diagnostics
	}
	var all []targets.Target
	for i := range d.Targets {
		target := kind.Bind(targets.Deps{Run: d.Run, Kube: kube}, fmt.Sprintf("orders-%d", i), spec)
		all = append(all, target)
		if _, err := target.Open(ctx); err != nil {
			return all, err
		}
	}
	return all, nil
}

func closeAll(all []targets.Target) {
	for _, target := range all {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		_ = target.Close(ctx)
		cancel()
	}
}

// takeLedger is the role that takes slots of postgresql targets.
func takeLedger(config []byte) (any, error) {
	var d database
	if err := json.Unmarshal(config, &d); err != nil {
		return nil, err
	}
	all, err := d.open(context.Background())
	defer closeAll(all)
	if err != nil {
		return nil, err
	}
	var some []drill.Probe
	for _, target := range all {
		for _, p := range target.Probes() {
			if p.Info().Class == drill.ClassPooled || d.Pinned {
				some = append(some, p)
			}
		}
	}
	return take(some), nil
}

// pgbenchScript writes one row through the ledger's own function and reads the same answer as drill.
const pgbenchScript = `\set seq :client_id * 1000000000 + :n
\set n :n + 1
SELECT addr, recovering, timeline FROM failoverdrill.write_1(:run, 'pgbench', :seq);
`

// pgbench starts it at a rate, on as many sessions as drill's pool keeps; run tells its rows from those of others.
func pgbench(t *testing.T, d database, run string, rate int, length time.Duration) *exec.Cmd {
	t.Helper()
	script := filepath.Join(t.TempDir(), "write.sql")
	require.NoError(t, os.WriteFile(script, []byte(pgbenchScript), 0o600))
	cmd := exec.Command(filepath.Join(binaries, "pgbench"), "-n", "-f", script, "-M", "extended", "-c", "10", "-j", "1", //nolint:gosec // fixed
		"-R", strconv.Itoa(rate), "-T", strconv.Itoa(int(length.Seconds())), "-D", "n=1", "-D", "run="+run,
		"-h", d.Members[0].IP, "-p", strconv.Itoa(int(d.Port)), "-U", postgres.User, postgres.Database)
	cmd.Env = []string{"PGPASSWORD=" + postgres.Password, "PGSSLMODE=disable", "PATH=/usr/bin:/bin"}
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

// newLedger keeps drill's table in the database until the end of the test, and returns the server's own count of rows.
func newLedger(t *testing.T, d database) (count func() int64) {
	t.Helper()
	d.Run = "keep"
	all, err := d.open(t.Context())
	t.Cleanup(func() { closeAll(all) })
	require.NoError(t, err)
	conn, err := pgconn.Connect(t.Context(), d.DSN)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return func() int64 {
		res, err := conn.Exec(t.Context(), "SELECT count(*) FROM failoverdrill.ledger WHERE stream <> ''").ReadAll()
		require.NoError(t, err)
		n, err := strconv.ParseInt(string(res[0].Rows[0][0]), 10, 64)
		require.NoError(t, err)
		return n
	}
}

// TestLedger takes the processor time of one write with its entry in the ledger. pgbench is C, with one thread for all
// sessions; the plain Go client is what the language and the driver cost without drill.
func TestLedger(t *testing.T) {
	_, d := newPair(t)
	count := newLedger(t, d)
	for _, c := range []struct{ rate, targets int }{{50, 1}, {100, 5}} {
		total := c.rate * c.targets
		t.Run(fmt.Sprintf("%d/s", total), func(t *testing.T) {
			var bench, plain []pair
			for i := range rounds {
				d := d
				d.Rate, d.Targets, d.Run = c.rate, c.targets, fmt.Sprintf("drill-%d-%d", total, i)
				load, _ := start(t, place{}, "ledger", d)
				drill := steady(t, load.cmd.Process.Pid, count)
				var slots taken
				load.stop(&slots)
				slots.check(t)

				peer := pgbench(t, d, fmt.Sprintf("pgbench-%d-%d", total, i), total, stretch+30*time.Second)
				c := steady(t, peer.Process.Pid, count)
				_ = peer.Process.Kill()
				_ = peer.Wait()

				least, _ := start(t, place{}, "plain", d)
				golang := steady(t, least.cmd.Process.Pid, count)
				least.stop(new(any))

				bench, plain = append(bench, pair{drill, c}), append(plain, pair{drill, golang})
				t.Logf("drill %s, pgbench %s, plain Go %s; drill's lateness p99 %v", micros(drill), micros(c), micros(golang), slots.P99)
			}
			what := fmt.Sprintf("CPU per ledger slot, %d/s", total)
			drill, peer := columns(bench)
			results.add(row{what, micros(median(drill)), "pgbench -R " + micros(median(peer)), spread(bench), ""})
			drill, peer = columns(plain)
			results.add(row{what, micros(median(drill)), "plain Go, pgx " + micros(median(peer)), spread(plain), ""})
		})
	}
}
