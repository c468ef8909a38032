package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/faults"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/runner"
)

// database is what the shop's pods know among themselves. The cluster's lock guards it.
type database struct {
	primary string // UID
	lost    time.Time
	acked   []int64
	cut     time.Time // since when the primary is cut off; zero: it is not
	agents  []string
	seen    map[string]int // how much of acked each member has shown
}

// promoteAfter is how long the others take to choose a new primary.
const promoteAfter = 4 * time.Second

// shop is the target: the database as a client sees it.
type shop struct{ c *cluster }

func (s *shop) members() []drill.Member {
	var all []drill.Member
	for _, o := range s.c.api.List("pods", "shop") {
		spec, _ := o.Object["spec"].(map[string]any)
		status, _ := o.Object["status"].(map[string]any)
		if o.GetDeletionTimestamp() != nil || status["phase"] != "Running" {
			continue
		}
		all = append(all, drill.Member{Namespace: "shop", Name: o.GetName(), UID: string(o.GetUID()), Node: spec["nodeName"].(string),
			IP: status["podIP"].(string), Role: drill.RoleReplica})
	}
	return all
}

// leader is the members, and the primary among them; its name is empty while nobody is.
func (s *shop) leader() ([]drill.Member, drill.Member) {
	all := s.members()
	cut := s.c.cutOff()
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	db := &s.c.database
	var others *drill.Member
	for i := range all {
		switch {
		case all[i].UID == db.primary && !cut || db.primary == "" && i == 0:
			db.primary, db.lost = all[i].UID, time.Time{}
			all[i].Role = drill.RolePrimary
			return all, all[i]
		case all[i].UID != db.primary && others == nil:
			others = &all[i]
		}
	}
	if db.lost.IsZero() {
		db.lost = time.Now()
	}
	if others == nil || time.Since(db.lost) < promoteAfter {
		return all, drill.Member{}
	}
	db.primary, db.lost, db.cut = others.UID, time.Time{}, time.Time{} // the old one, which is cut off, is a replica now
	others.Role = drill.RolePrimary
	return all, *others
}

func (s *shop) Name() string { return "orders" }
func (s *shop) Look(context.Context) ([]drill.Member, *drill.Views, error) {
	all, _ := s.leader()
	return all, nil, nil
}
func (s *shop) Open(context.Context) ([]drill.Member, error) {
	all, p := s.leader()
	if p.Name == "" {
		return nil, &drill.Refusal{Code: "no_primary", Text: "nobody is primary"}
	}
	return all, nil
}
func (s *shop) Members(ctx context.Context) ([]drill.Member, error) { return s.Open(ctx) }
func (s *shop) Primary(context.Context) (drill.Member, error) {
	_, p := s.leader()
	if p.Name == "" {
		return p, errors.New("nobody is primary")
	}
	return p, nil
}
func (s *shop) Answers(_ context.Context, m drill.Member) bool {
	for _, one := range s.members() {
		if one.UID == m.UID {
			return true
		}
	}
	return false
}
func (s *shop) Connect(context.Context, drill.Member) {}
func (s *shop) Connection(m drill.Member) drill.Connection {
	if s.Answers(context.Background(), m) {
		return drill.Connection{State: drill.ConnectionOpen}
	}
	return drill.Connection{State: drill.ConnectionEnded, Since: time.Now()}
}
func (s *shop) Close(context.Context) error { return nil }

func (s *shop) Watch(ctx context.Context, changed func(drill.Views)) error {
	last := "?"
	for ctx.Err() == nil {
		if _, p := s.leader(); p.Name != last {
			last = p.Name
			var who []string
			if last != "" {
				who = []string{last}
			}
			changed(drill.Views{Target: "orders", Label: who, Service: who, Member: who})
		}
		sleepOr(ctx, time.Second)
	}
	return nil
}

func (s *shop) ReadBack(context.Context) (drill.ReadBack, error) {
	all, p := s.leader()
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	back := drill.ReadBack{Target: "orders", Primary: p.Name, Complete: p.Name != "", Streams: map[string]map[string]drill.Numbers{}}
	for _, m := range all {
		back.Streams[m.Name] = map[string]drill.Numbers{"orders": drill.NumbersOf(s.c.database.acked...)}
	}
	return back, nil
}

func (s *shop) Probes() []drill.Probe {
	all := []drill.Probe{shopProbe{s, drill.ProbeInfo{Name: "orders", Kind: "postgresql", Target: "orders", Class: drill.ClassPooled,
		Interval: 200 * time.Millisecond, Deadline: time.Second, Sessions: 10}}}
	for i := range shopNodes {
		m := fmt.Sprintf("orders-%d", i)
		all = append(all, shopProbe{s, drill.ProbeInfo{Name: "orders/" + m, Kind: "postgresql", Target: "orders", Class: drill.ClassPinned, Member: m,
			Interval: time.Second, Deadline: time.Second, Sessions: 1}})
	}
	return all
}

// shopProbe writes while somebody is primary, or asks one member.
type shopProbe struct {
	s    *shop
	info drill.ProbeInfo
}

func (p shopProbe) Info() drill.ProbeInfo { return p.info }
func (p shopProbe) Sample(_ context.Context, out *drill.Sample) {
	all, primary := p.s.leader()
	p.s.c.mu.Lock()
	defer p.s.c.mu.Unlock()
	db := &p.s.c.database
	out.Outcome, out.Signal = drill.OutcomeFail, drill.SignalRefused
	if out.Write = p.info.Class == drill.ClassPooled; out.Write {
		if primary.Name != "" {
			out.Outcome, out.Signal, out.By, out.ByUID, out.Role = drill.OutcomeOK, "", primary.Name, primary.UID, drill.RolePrimary
			db.acked = append(db.acked, out.Slot)
		}
		return
	}
	for _, m := range all {
		if m.Name == p.info.Member {
			from := min(db.seen[m.UID], len(db.acked))
			reading := &drill.Reading{UID: m.UID, Streaming: m.Role == drill.RoleReplica, Seen: append([]int64(nil), db.acked[from:]...)}
			if db.seen == nil {
				db.seen = map[string]int{}
			}
			db.seen[m.UID] = len(db.acked)
			out.Outcome, out.Signal, out.By, out.ByUID, out.Role, out.Reading = drill.OutcomeOK, "", m.Name, m.UID, m.Role, reading
		}
	}
}

// everyTick is an exact sampler for virtual time.
func everyTick(ctx context.Context, sampling drill.Sampling) {
	var wg sync.WaitGroup
	var one sync.Mutex
	for _, p := range sampling.Probes {
		wg.Go(func() {
			info := p.Info()
			for slot := int64(0); sleepOr(ctx, info.Interval); slot++ {
				now := sampling.Clock.Now()
				s := drill.Sample{Probe: info.Name, Class: info.Class, Member: info.Member, Slot: slot, Scheduled: now, Sent: now}
				p.Sample(ctx, &s)
				s.Done = sampling.Clock.Now()
				one.Lock()
				sampling.Sample(s)
				one.Unlock()
			}
		})
	}
	wg.Wait()
}

func sleepOr(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// fault counts injections; of a partition, whose agents are reached by real sockets, it keeps what goes through the API.
func (c *cluster) fault(client *kube.Client, p *process) func(string, runner.Fault) runner.Fault {
	return func(kind string, f runner.Fault) runner.Fault {
		if kind == "network_partition" {
			return &partition{Fault: f, c: c, client: client, process: p}
		}
		return f
	}
}

// partition is a network_partition of whose agents only the pods are real.
type partition struct {
	runner.Fault
	c       *cluster
	client  *kube.Client
	process *process
}

type partitionState struct {
	Agents map[string]string
}

func (p *partition) state(raw json.RawMessage) (st partitionState) {
	_ = json.Unmarshal(raw, &st)
	return st
}

func (p *partition) Prepare(ctx context.Context, raw json.RawMessage) error {
	st, record := p.state(raw), p.c.record()
	secrets := map[string]map[string][]byte{}
	for agent := range st.Agents {
		secrets[agent] = map[string][]byte{"ca.crt": nil}
	}
	_, err := kube.Agents{Run: p.c.run, Image: "drill:test", RunUID: record.UID, Nodes: st.Agents,
		Generation: record.Status.Generation, Life: time.Hour}.Start(ctx, p.client, secrets)
	return err
}

func (p *partition) Recheck(context.Context, json.RawMessage) error { return nil }

func (p *partition) Inject(_ context.Context, raw json.RawMessage) error {
	p.c.watched.injected(p.process)
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	p.c.database.cut, p.c.database.agents = time.Now(), nil
	for name := range p.state(raw).Agents {
		p.c.database.agents = append(p.c.database.agents, name)
	}
	return nil
}

func (p *partition) Confirm(context.Context, json.RawMessage) (string, error) { return "seen", nil }
func (p *partition) Held(context.Context, json.RawMessage) error              { return nil }
func (p *partition) Revert(ctx context.Context, raw json.RawMessage) error {
	p.c.mu.Lock()
	p.c.database.cut = time.Time{}
	p.c.mu.Unlock()
	return p.Fault.Revert(ctx, raw)
}

// cutOff reports whether the primary is cut off: until its agents are gone, or have not heard of their runner for 5 s.
func (c *cluster) cutOff() bool {
	c.mu.Lock()
	cut, agents := c.database.cut, c.database.agents
	silent := false
	for _, p := range c.processes {
		silent = silent || !p.died.IsZero() && time.Since(p.died) > 5*time.Second
	}
	c.mu.Unlock()
	if cut.IsZero() || silent {
		return false
	}
	for _, o := range c.api.List("pods", "") {
		agents = slices.DeleteFunc(slices.Clone(agents), func(name string) bool { return name == o.GetName() })
	}
	return len(agents) == 0 // of each there is a pod
}

var _ faults.Led = (*shop)(nil)
