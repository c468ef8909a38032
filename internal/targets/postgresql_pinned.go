package targets

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/failoverdrill/drill/internal/drill"
)

const (
	pinnedInterval = 100 * time.Millisecond
	// pinnedDeadline marks a slot, after which the member's word no longer counts. It never cancels: a session whose
	// statement is cancelled is closed, and then nobody would see what an old primary does when it comes back.
	pinnedDeadline = time.Second
	// silentAfter is how long a member may leave a statement unanswered until it counts as gone.
	silentAfter = pinnedDeadline + 2*pinnedInterval
	// formerFor is how long a session is kept to a pod that was replaced, as long as the pod still answers on it.
	formerFor = 15 * time.Second
	// dialTimeout bounds one attempt to open a broken pinned session again.
	dialTimeout = time.Second
)

var errNoAddress = errors.New("the member's pod has no address")

// pinned is the probe of one member: one session to its pod, opened before the fault. When no pod has the member's name
// any more, it asks one that no other probe asks: an operator may replace a member under another name.
type pinned struct {
	t      *postgreSQL
	member string // at plan

	mu     sync.Mutex
	sess   *session
	pod    instance // that the session goes to, or went to last
	said   drill.Role
	since  time.Time // when the slot under way was sent; zero when none is
	asked  time.Time // when the statement under way was sent on an open session; zero when none is
	closed bool

	former *session                    // the session, when its pod was replaced
	states map[string]drill.Connection // by pod UID, of every pod that there was a session to

	// What the member has shown of the pooled stream. Sequence numbers up to low are not asked for again.
	shownBy string // the UID of the pod whose word the two below are
	low     int64
	shown   map[int64]struct{}
}

func newPinned(t *postgreSQL, member string) *pinned {
	return &pinned{t: t, member: member, pod: instance{name: member}, said: drill.RoleUnknown, low: -1,
		shown: map[int64]struct{}{}, states: map[string]drill.Connection{}}
}

// Info describes the probe.
func (p *pinned) Info() drill.ProbeInfo {
	return drill.ProbeInfo{
		Name: p.t.name + "/" + p.member, Kind: "postgresql", Target: p.t.name, Class: drill.ClassPinned, Member: p.member,
		Interval: pinnedInterval, Deadline: pinnedDeadline, Sessions: 1,
	}
}

// Sample asks the member who it is and what it shows, and writes a row when it is a primary.
func (p *pinned) Sample(ctx context.Context, s *drill.Sample) {
	p.mu.Lock()
	p.since = time.Now()
	p.mu.Unlock()
	s.Role = drill.RoleUnknown
	defer func() {
		p.mu.Lock()
		p.since, p.asked = time.Time{}, time.Time{}
		changed := p.said != s.Role
		p.said = s.Role
		p.mu.Unlock()
		if changed {
			p.t.cluster.poke()
		}
	}()

	session, pod, err := p.session(ctx)
	if err != nil {
		s.Outcome, s.Signal = drill.OutcomeFail, signal(err)
		if errors.Is(err, errNoAddress) {
			s.Signal = drill.SignalUnreach
		}
		return
	}
	p.mu.Lock()
	p.asked = time.Now()
	p.mu.Unlock()
	if p.shownBy != pod.uid { // another pod: it may have been made from nothing
		p.shownBy, p.low, p.shown = pod.uid, -1, map[int64]struct{}{}
	}
	said, err := p.t.tables.look(ctx, session, s.Probe, s.Slot, p.t.name, p.low)
	s.Outcome, s.Signal = judge(err)
	s.Write = true
	if err != nil {
		p.drop(session)
		return
	}
	s.By, s.ByUID, s.Role, s.Epoch = pod.name, pod.uid, said.role(), said.timeline
	s.Reading = &drill.Reading{UID: pod.uid, Streaming: said.streaming, Seen: p.fresh(said.seen), EngineLag: said.lag}
	if said.recovering {
		s.Write = false // it was only asked
		return
	}
	confirm(s, said, session)
}

// session returns the open session and the pod that it goes to, or opens one to where the member is now.
func (p *pinned) session(ctx context.Context) (*session, instance, error) {
	p.mu.Lock()
	s, pod := p.sess, p.pod
	p.mu.Unlock()
	if s != nil {
		return s, pod, nil
	}
	if own, ok := p.t.cluster.live(pod.name); ok {
		return p.open(ctx, own)
	}
	if !p.t.seat.TryLock() { // two probes must not end up with one pod
		return nil, instance{}, errNoAddress
	}
	defer p.t.seat.Unlock()
	err := errNoAddress
	for _, other := range p.t.unasked() {
		if s, pod, err = p.open(ctx, other); err == nil {
			return s, pod, nil
		}
	}
	return nil, instance{}, err
}

// open opens the member's session to a pod.
func (p *pinned) open(ctx context.Context, pod *corev1.Pod) (*session, instance, error) {
	if pod.Status.PodIP == "" {
		return nil, instance{}, errNoAddress
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	s, err := p.t.dial.open(ctx, pod.Status.PodIP, p.t.cluster.port(p.t.dial.config.Port))
	if err != nil {
		return nil, instance{}, err
	}
	who := instance{pod.Name, string(pod.UID)}
	p.adopt(s, who)
	return s, who, nil
}

// asks is the pod that the probe asks, or asked last.
func (p *pinned) asks() instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pod
}

// unasked are the members' pods that no pinned probe asks.
func (t *postgreSQL) unasked() []*corev1.Pod {
	asked := map[string]bool{}
	for _, p := range t.pinned {
		asked[p.asks().name] = true
	}
	return slices.DeleteFunc(t.cluster.members(), func(pod *corev1.Pod) bool {
		return asked[pod.Name] || pod.Status.PodIP == ""
	})
}

// followPods gives up the sessions to pods that were replaced, under the same name or another one.
func (t *postgreSQL) followPods() {
	for _, p := range t.pinned {
		pod, ok := t.cluster.live(p.asks().name)
		if others := t.unasked(); !ok && len(others) > 0 {
			pod, ok = others[0], true
		}
		if ok {
			p.moved(string(pod.UID), pod.Status.PodIP)
		}
	}
}

// adopt makes the session to a pod the member's own.
func (p *pinned) adopt(s *session, pod instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sess, p.pod = s, pod
	p.states[pod.uid] = drill.Connection{State: drill.ConnectionOpen}
	if p.closed {
		s.cut()
	}
}

// drop forgets a session that has ended. One that only answered with an error is kept: it is older than the fault.
func (p *pinned) drop(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sess != s || !s.conn.IsClosed() {
		return
	}
	p.sess = nil
	if !s.given && p.states[p.pod.uid].State == drill.ConnectionOpen {
		p.states[p.pod.uid] = drill.Connection{State: drill.ConnectionEnded, Since: time.Now()}
	}
}

// connection is the state of the session to the pod with the UID.
func (p *pinned) connection(uid string, now time.Time) drill.Connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sess != nil && p.pod.uid == uid && p.silent(now) {
		return drill.Connection{State: drill.ConnectionSilent, Since: p.asked.Add(silentAfter)}
	}
	return p.states[uid]
}

// silent reports whether the statement under way has been left unanswered for too long.
func (p *pinned) silent(now time.Time) bool {
	return !p.asked.IsZero() && now.Sub(p.asked) >= silentAfter
}

// moved gives up a session to a pod that is no longer the member, once the new one can be queried instead and the
// former one has stopped answering: the process of a pod that was deleted by force may go on accepting writes.
func (p *pinned) moved(uid, ip string) {
	p.mu.Lock()
	s := p.sess
	mine := s != nil && p.pod.uid != uid && ip != "" && p.former != s
	if mine {
		p.former = s
	}
	p.mu.Unlock()
	if mine {
		p.giveUp(s, time.Now().Add(formerFor))
	}
}

// giveUp cuts the session to a former pod as soon as the pod leaves a statement unanswered, and at the limit in any
// case.
func (p *pinned) giveUp(s *session, limit time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	switch {
	case p.sess != s || p.closed:
	case p.silent(now):
		p.states[p.pod.uid] = drill.Connection{State: drill.ConnectionSilent, Since: p.asked.Add(silentAfter)}
		s.giveUp()
	case now.After(limit): // its state stays open: drill does not know when the process ended
		s.giveUp()
	default:
		time.AfterFunc(pinnedInterval, func() { p.giveUp(s, limit) })
	}
}

func (p *pinned) close() {
	p.mu.Lock()
	s := p.sess
	p.sess, p.closed = nil, true
	waiting := !p.since.IsZero()
	p.mu.Unlock()
	switch {
	case s == nil:
	case waiting:
		s.cut()
	default:
		s.close()
	}
}

// role is the member's own word, as long as it is one: a member that does not answer says nothing.
func (p *pinned) role(now time.Time) drill.Role {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.since.IsZero() && now.Sub(p.since) > pinnedDeadline {
		return drill.RoleUnknown
	}
	return p.said
}

// fresh is what the member had not shown before. Writes become visible a little out of order, so the mark stays behind
// the newest by more than a write that is acknowledged in time can be late.
func (p *pinned) fresh(seen []int64) []int64 {
	var news []int64
	for _, seq := range seen {
		if _, ok := p.shown[seq]; !ok {
			p.shown[seq] = struct{}{}
			news = append(news, seq)
		}
	}
	if len(seen) == 0 {
		return nil
	}
	if low := seen[len(seen)-1] - 2*int64(p.t.sessions()); low > p.low {
		p.low = low
		for seq := range p.shown {
			if seq <= low {
				delete(p.shown, seq)
			}
		}
	}
	return news
}
