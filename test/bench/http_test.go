//go:build bench

package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// answer is what the server says to every request; both sides look for it.
const answer = "all is well"

// serve is the role of the local server. It counts what it answers, and tells at /served.
func serve([]byte) (any, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	var served atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		served.Add(1)
		_, _ = io.WriteString(w, answer)
	})
	mux.HandleFunc("/served", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, served.Load()) })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(listener) }()
	say(ready + " " + listener.Addr().String())
	told()
	return served.Load(), server.Close()
}

// newServer starts the server on a core and returns its URL, and its own count of what it has answered.
func newServer(t *testing.T, at place) (url string, count func() int64) {
	t.Helper()
	_, addr := start(t, at, "serve", nil)
	url = "http://" + addr + "/"
	return url, func() int64 {
		res, err := http.Get(url + "served") //nolint:gosec // loopback
		require.NoError(t, err)
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		n, err := strconv.ParseInt(string(b), 10, 64)
		require.NoError(t, err)
		return n
	}
}

// k6Script sends requests open loop and looks at the answers as drill does.
const k6Script = `
import http from 'k6/http';
export const options = {
  noConnectionReuse: __ENV.FRESH === 'true',
  scenarios: { slots: {
    executor: 'constant-arrival-rate', rate: Number(__ENV.RATE), timeUnit: '1s', duration: __ENV.FOR,
    preAllocatedVUs: 10, maxVUs: 50,
  } },
};
export default function () {
  const res = http.get(__ENV.URL, { timeout: '500ms' });
  if (res.status !== 200 || !res.body.includes('` + answer + `')) { throw new Error('a bad answer'); }
}
`

// k6 starts k6 on the same work. Everything that it could do besides is switched off.
func k6(t *testing.T, url string, fresh bool, rate int, d time.Duration) *exec.Cmd {
	t.Helper()
	binary := os.Getenv("K6")
	require.FileExists(t, binary, "make bench builds k6 and names it in K6")
	script := filepath.Join(t.TempDir(), "slots.js")
	require.NoError(t, os.WriteFile(script, []byte(k6Script), 0o600))
	cmd := exec.Command(binary, "run", "--quiet", "--summary-mode", "disabled", "--no-color", "--address", "", "--no-usage-report", script) //nolint:gosec // built by us
	cmd.Env = []string{
		"HOME=" + t.TempDir(), "URL=" + url, "FRESH=" + strconv.FormatBool(fresh), "RATE=" + strconv.Itoa(rate), "FOR=" + d.String(),
		"K6_AUTO_EXTENSION_RESOLUTION=false",
	}
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

// TestHTTP takes the processor time of one request with its answer looked at.
func TestHTTP(t *testing.T) {
	url, count := newServer(t, place{})
	for _, c := range []struct {
		class        string
		rate, probes int
	}{{"pooled", 50, 1}, {"pooled", 100, 5}, {"fresh", 50, 1}} {
		total := c.rate * c.probes
		name := fmt.Sprintf("%s, %d/s", c.class, total)
		t.Run(name, func(t *testing.T) {
			var found []pair
			for range rounds {
				load, _ := start(t, place{}, "http", httpLoad{URL: url, Class: c.class, Rate: c.rate, Probes: c.probes})
				drill := steady(t, load.cmd.Process.Pid, count)
				var slots taken
				load.stop(&slots)
				slots.check(t)

				peer := k6(t, url, c.class == "fresh", total, stretch+30*time.Second)
				other := steady(t, peer.Process.Pid, count)
				_ = peer.Process.Kill()
				_ = peer.Wait()
				found = append(found, pair{drill, other})
				t.Logf("drill %s, k6 %s; drill's lateness p99 %v", micros(drill), micros(other), slots.P99)
			}
			drill, peer := columns(found)
			results.add(row{"CPU per HTTP slot, " + name, micros(median(drill)), "k6 " + micros(median(peer)), spread(found), ""})
		})
	}
}

// closedLoop is the role of a plain Go client that sends the next request when it has the answer.
func closedLoop(config []byte) (any, error) {
	var c httpLoad
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, err
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: c.Probes, DisableCompression: true}}
	done := make(chan struct{})
	go func() { told(); close(done) }()
	var work sync.WaitGroup
	var good atomic.Int64
	say(ready)
	for range c.Probes {
		work.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				res, err := client.Get(c.URL) //nolint:gosec // loopback
				if err != nil {
					continue
				}
				_, err = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if err == nil {
					good.Add(1)
				}
			}
		})
	}
	work.Wait()
	return good.Load(), nil
}
