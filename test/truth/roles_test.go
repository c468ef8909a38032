//go:build truth

package truth

import (
	"context"
	"crypto/sha256"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/hashicorp/hcl/v2/hclparse"
	"golang.org/x/sys/unix"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/probes"
)

// The roles that this test binary plays as a process of its own.
const (
	roleServer = "server"
	roleProber = "prober"
	roleClosed = "closed-loop prober"
	roleHog    = "hog"
)

func TestMain(m *testing.M) {
	play, known := map[string]func() error{roleServer: serve, roleProber: probe, roleClosed: probeClosed, roleHog: hog}[os.Getenv(roleVariable)]
	if !known {
		os.Exit(m.Run())
	}
	if err := play(); err != nil {
		fmt.Fprintln(os.Stderr, os.Getenv(roleVariable), err)
		os.Exit(1)
	}
	os.Exit(0)
}

// moods are how a server behaves: 0 is well, and other numbers are how many milliseconds an answer waits.
var moods = map[string]uint32{hang: 3_600_000, slow: 700}

const moodSize = 4096

// serve answers HTTP on the ports, each as its lane's mood is when the request is read.
func serve() error {
	var ports []uint16
	if err := json.NewDecoder(os.Stdin).Decode(&ports); err != nil {
		return err
	}
	page, err := unix.Mmap(3, 0, moodSize, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map the moods: %w", err)
	}
	failed := make(chan error)
	for _, port := range ports {
		mood := (*uint32)(unsafe.Pointer(&page[4*(port-firstPort)]))
		handler := func(w http.ResponseWriter, r *http.Request) {
			if wait := atomic.LoadUint32(mood); wait > 0 {
				select {
				case <-time.After(time.Duration(wait) * time.Millisecond):
				case <-r.Context().Done():
					return
				}
			}
			_, _ = io.WriteString(w, "well")
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return err
		}
		server := &http.Server{Handler: http.HandlerFunc(handler), ReadHeaderTimeout: time.Minute}
		go func() { failed <- server.Serve(l) }()
	}
	return <-failed
}

// probing is what a prober is to do.
type probing struct {
	Probes []string // blocks of kind http
	Names  []string
	For    time.Duration
	Pause  time.Duration   // between two steps
	Steps  []time.Duration // its wall clock is stepped by, one after the other
}

// seen is what a prober brings home.
type seen struct {
	Base    int64 // the kernel's monotonic clock when the prober's began
	Infos   []drill.ProbeInfo
	Samples []drill.Sample
	Stalls  []drill.Stall
	Walls   []time.Duration // how far its wall clock ran ahead of the monotonic one, after each step
}

// start pins the run's clock to the kernel's.
func start() (drill.Clock, int64) {
	before := kernelNow()
	clock := drill.StartClock()
	return clock, (before + kernelNow()) / 2
}

// probe runs the real sampler with real probes, as a run does.
func probe() error {
	var p probing
	if err := json.NewDecoder(os.Stdin).Decode(&p); err != nil {
		return err
	}
	var all []drill.Probe
	var s seen
	for i, block := range p.Probes {
		file, diags := hclparse.NewParser().ParseHCL([]byte(block), "probe.hcl")
		if diags.HasErrors() {
			return diags
		}
		kind, _ := probes.Find("http")
		spec, decoded := kind.Decode(file.Body, nil)
		if decoded.Diagnostics.HasErrors() {
			return decoded.Diagnostics
		}
		one, err := kind.Bind(probes.Deps{}, p.Names[i], spec)
		if err != nil {
			return err
		}
		all = append(all, one)
		s.Infos = append(s.Infos, one.Info())
	}
	ctx, cancel := context.WithTimeout(context.Background(), p.For)
	defer cancel()
	var mu sync.Mutex
	var clock drill.Clock
	clock, s.Base = start()
	stepped := make(chan error, 1)
	go func() { stepped <- stepWall(ctx, p.Steps, p.Pause, &s.Walls) }()
	probes.Sample(ctx, drill.Sampling{Clock: clock, Probes: all,
		Sample: func(x drill.Sample) { s.Samples = append(s.Samples, x) },
		Stall:  func(x drill.Stall) { mu.Lock(); s.Stalls = append(s.Stalls, x); mu.Unlock() },
	})
	if err := <-stepped; err != nil {
		return err
	}
	return gob.NewEncoder(os.Stdout).Encode(s)
}

// hog keeps a processor busy until it is killed.
func hog() error {
	sum := make([]byte, 1<<20)
	for {
		one := sha256.Sum256(sum)
		copy(sum, one[:])
	}
}

// attempt is one of a closed-loop prober.
type attempt struct {
	Lane       int
	From, Done drill.Offset
	OK         bool
}

// closedSeen is what a closed-loop prober brings home.
type closedSeen struct {
	Base     int64
	Attempts []attempt
}

// Of a closed-loop prober, in the shape of CloudNativePG's own test of failover: a client that connects with a timeout of
// 2 s, waits for the answer, and then asks again.
const (
	connectTimeout = 2 * time.Second
	answerTimeout  = 3 * time.Second
	pause          = 20 * time.Millisecond
)

// probeClosed asks every lane in a closed loop. Names are the addresses.
func probeClosed() error {
	var p probing
	if err := json.NewDecoder(os.Stdin).Decode(&p); err != nil {
		return err
	}
	var s closedSeen
	var mu sync.Mutex
	var lanes sync.WaitGroup
	clock, base := start()
	s.Base = base
	for i, address := range p.Names {
		lanes.Go(func() {
			for clock.Now() < drill.Offset(p.For) {
				a := attempt{Lane: i, From: clock.Now()}
				a.OK = ask(address) == nil
				a.Done = clock.Now()
				mu.Lock()
				s.Attempts = append(s.Attempts, a)
				mu.Unlock()
				time.Sleep(pause)
			}
		})
	}
	lanes.Wait()
	return gob.NewEncoder(os.Stdout).Encode(s)
}

func ask(address string) error {
	conn, err := net.DialTimeout("tcp", address, connectTimeout)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(answerTimeout))
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return err
	}
	answer, err := io.ReadAll(conn)
	if err == nil && len(answer) == 0 {
		err = errors.New("no answer")
	}
	return err
}
