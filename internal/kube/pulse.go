package kube

import (
	"context"
	"time"

	"k8s.io/client-go/kubernetes"
)

// maxGap is the longest time between two looks at a run's locks for which nobody can have missed a renewal. After a
// longer one, as when the API server was away, the watcher knows no more than at the beginning.
const maxGap = leaseDuration + leaseRenewal

// Pulse watches whether a runner still renews its locks: what its pod and its node say of it may be wrong.
type Pulse struct {
	client    kubernetes.Interface
	namespace string
	run       string
	seen      map[string]*sighting
	started   time.Time // since when it has looked without a gap
	looked    time.Time
	locks     int
}

// NewPulse starts to watch the locks of a run.
func NewPulse(client kubernetes.Interface, namespace, run string) *Pulse {
	return &Pulse{client: client, namespace: namespace, run: run, seen: map[string]*sighting{}, started: time.Now(), looked: time.Now()}
}

// Locks is how many locks the run held at the last look.
func (p *Pulse) Locks() int { return p.locks }

// Silence looks once more, and returns for how long every lock of the run has looked the same; without a lock, for how
// long there has been none.
func (p *Pulse) Silence(ctx context.Context) (time.Duration, error) {
	leases, err := locksOf(ctx, p.client, p.namespace, p.run)
	if err != nil {
		return 0, err
	}
	if time.Since(p.looked) > maxGap {
		p.started, p.seen = time.Now(), map[string]*sighting{}
	}
	p.looked = time.Now()
	if (p.locks == 0) != (len(leases) == 0) {
		p.started = time.Now()
	}
	p.locks = len(leases)
	silence := time.Since(p.started)
	for i := range leases {
		s, ok := p.seen[leases[i].Name]
		if !ok {
			s = new(sighting)
			p.seen[leases[i].Name] = s
		}
		s.look(&leases[i])
		silence = min(silence, s.unchangedFor())
	}
	return silence, nil
}

// Dead looks once more, and reports whether every lock of the run has looked the same for longer than it lives.
func (p *Pulse) Dead(ctx context.Context) (bool, error) {
	silence, err := p.Silence(ctx)
	return silence >= leaseDuration, err
}
