package measure

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// cluster follows what the members of one target say of themselves and show of the ledger, sample by sample, in the
// order in which the outcomes became known. The live values and the report share it, so that there is one definition
// of lag and of redundancy.
type cluster struct {
	limit    float64       // lag in seconds under which a replica counts as caught up
	delta    time.Duration // between two writes
	names    []string      // the members that must be there: those of the plan, or what came in their place
	members  map[string]*member
	places   map[string]string // by the member that a pinned probe was made for: whom it asks now
	acks     []ack             // of the pooled stream, by Done, from the oldest one on that some member does not show
	released released
	gone     drill.Numbers
	leader   string // the member that became primary last, by its own word
	epoch    int64
	disowned int // the leader has been compared with acks before this one
}

// ack is an acknowledged write.
type ack struct {
	seq        int64
	sent, done drill.Offset
	by         string
}

// released are the acks that every member showed, and that were let go: nobody who was there then can lack one of them.
type released struct {
	seqs        drill.Numbers
	first, last ack
}

// member is what one member last said, and everything that its pod ever showed.
type member struct {
	name  string
	uid   string // of its pod; empty when that is not known
	asked bool   // a pinned probe asks it
	late  bool   // its pod came when acks had been let go already, and has not shown all of those
	next  int    // no ack before this one is missing on it
	seen  drill.Numbers
	role  drill.Role // by its last word, also while it is silent
	word  word
	stale time.Duration // how long a word holds: by then the sampler has told what became of the next slot
}

// word is what one pinned slot learnt of a member.
type word struct {
	heard     bool // some slot has ended
	known     bool
	at        drill.Offset // the slot's turn
	role      drill.Role
	streaming bool
	caught    bool // it shows every write that was acknowledged before it was asked
	lag       drill.Bounds
	engine    float64 // the engine's own figure, NaN when it has none
}

func newCluster(limit float64) *cluster {
	return &cluster{limit: limit, members: map[string]*member{}, places: map[string]string{}}
}

// plan names the members that must be there.
func (c *cluster) plan(ms []drill.Member) {
	for _, m := range ms {
		if slices.Contains(c.names, m.Name) {
			continue
		}
		c.names = append(c.names, m.Name)
		c.member(m.Name)
		if m.Role == drill.RolePrimary {
			c.leader, c.epoch = m.Name, m.Epoch
		}
	}
}

// probe notes how long a word of the pinned probe's member holds.
func (c *cluster) probe(p drill.ProbeInfo) {
	switch p.Class {
	case drill.ClassPinned:
		m := c.member(p.Member)
		m.asked, m.stale = true, p.Deadline+2*p.Interval
	case drill.ClassPooled:
		c.delta = p.Interval
	}
}

func (c *cluster) member(name string) *member {
	m := c.members[name]
	if m == nil {
		m = &member{name: name, stale: time.Second}
		c.members[name] = m
	}
	return m
}

// write notes an acknowledged write of the pooled stream.
func (c *cluster) write(s slot) {
	if s.Outcome != drill.OutcomeOK || !s.Write {
		return
	}
	i, _ := slices.BinarySearchFunc(c.acks, s.Done, func(a ack, t drill.Offset) int { return cmp.Compare(a.done, t) })
	c.acks = slices.Insert(c.acks, i, ack{seq: s.Slot, sent: s.Sent, done: s.Done, by: s.By})
	defer c.prune()
	if i == len(c.acks)-1 {
		return
	}
	// It was handed over after a later one: whoever has been compared that far must look again.
	c.disowned = min(c.disowned, i)
	for _, m := range c.members {
		m.next = min(m.next, i)
	}
}

// pinned takes a member's word from a slot of its pinned probe. A slot that brought no reading leaves it unknown.
func (c *cluster) pinned(s slot) *member {
	m := c.asked(s)
	w := word{heard: true, at: s.Scheduled}
	if s.Reading != nil {
		for _, seq := range s.Reading.Seen {
			m.seen.Add(seq)
		}
	}
	switch {
	case spoke(s) && s.Role == drill.RolePrimary:
		w.known, w.role = true, s.Role
		c.lead(s, m)
	case s.Reading != nil && s.Role == drill.RoleReplica:
		w.known, w.role, w.streaming, w.engine = true, s.Role, s.Reading.Streaming, s.Reading.EngineLag
		w.lag, w.caught = c.lag(m, s)
	}
	m.word = w
	if w.known {
		m.role = w.role
	}
	return m
}

// spoke reports whether the member answered a pinned slot.
func spoke(s slot) bool { return s.Outcome == drill.OutcomeOK || s.Reading != nil }

// asked is the member that a pinned slot was about: the one that answered, or else the one that its probe asks. A probe
// whose member is gone asks the one that came instead. What the pod of before showed is not there on a new one, even
// under the old name.
func (c *cluster) asked(s slot) *member {
	name := cmp.Or(c.places[s.Member], s.Member)
	if by := s.By; spoke(s) && by != "" && by != name && !slices.Contains(c.names, by) {
		c.replace(name, by)
		c.places[s.Member], name = by, by
	}
	m := c.member(name)
	uid := uidOf(s)
	if uid != "" && m.uid != "" && uid != m.uid {
		*m = member{name: name, asked: m.asked, stale: m.stale, late: c.released.seqs.Count() > 0}
	}
	m.uid = cmp.Or(uid, m.uid)
	return m
}

// replace puts another member into the place of one that is gone.
func (c *cluster) replace(gone, by string) {
	old := c.member(gone)
	delete(c.members, gone)
	m := c.member(by)
	m.asked, m.stale, m.late = true, old.stale, c.released.seqs.Count() > 0
	if i := slices.Index(c.names, gone); i >= 0 {
		c.names[i] = by
	}
}

// prune lets go of the writes that every member which is asked shows, or that are known to be lost: none of them can
// be the oldest one that a member lacks, ever again. A long run would otherwise hold them all. The members are known
// before the first write.
func (c *cluster) prune() {
	n := 0
	for n < len(c.acks) && c.everywhere(c.acks[n].seq) {
		c.released.add(c.acks[n], c.gone)
		n++
	}
	if n == 0 {
		return
	}
	c.acks = c.acks[n:]
	c.disowned = max(0, c.disowned-n)
	for _, m := range c.members {
		m.next = max(0, m.next-n)
	}
}

func (sh *released) add(a ack, gone drill.Numbers) {
	if gone.Has(a.seq) {
		return
	}
	if len(sh.seqs.Ranges) == 0 || a.sent < sh.first.sent {
		sh.first = a
	}
	if a.done > sh.last.done {
		sh.last = a
	}
	sh.seqs.Add(a.seq)
}

func (c *cluster) everywhere(seq int64) bool {
	if c.gone.Has(seq) {
		return true
	}
	for _, m := range c.members {
		if m.asked && !m.seen.Has(seq) {
			return false
		}
	}
	return true
}

// lead notes who became primary last. A write that an earlier primary acknowledged and the new one does not show is
// lost: no replica can ever show it, and its age is not lag. Writes that the leader itself acknowledged are left alone.
func (c *cluster) lead(s slot, m *member) {
	epoch := cmp.Or(s.Epoch, c.epoch) // 0 is not known
	if epoch < c.epoch {
		return // an old primary that has not heard of the new one
	}
	if s.Member != c.leader {
		if epoch == c.epoch && m.role == drill.RolePrimary {
			return // two primaries of one epoch: the one that came last stays the leader
		}
		c.leader, c.disowned = s.Member, m.next
	}
	c.epoch = epoch
	if s.Reading == nil {
		return
	}
	for ; c.disowned < len(c.acks) && c.acks[c.disowned].done < s.Sent; c.disowned++ {
		a := c.acks[c.disowned]
		if a.by != "" && a.by != s.Member && !m.seen.Has(a.seq) {
			c.gone.Add(a.seq)
		}
	}
}

// lag is the age of the oldest acknowledged write that the member does not show (MEASURING.md, "Replication lag that
// cannot lie"): at least from the acknowledgement to the question, at most from the sending to the answer.
func (c *cluster) lag(m *member, s slot) (b drill.Bounds, caught bool) {
	if m.late = m.late && !m.seen.Includes(c.released.seqs); m.late {
		youngest := c.released.last // of what it may lack
		if !m.seen.Has(c.released.first.seq) {
			youngest = c.released.first
		}
		oldest := c.released.first
		return drill.Bounds{Lower: seconds(s.Sent.Sub(youngest.done)), Upper: seconds(s.Done.Sub(oldest.sent))}, false
	}
	for m.next < len(c.acks) && (m.seen.Has(c.acks[m.next].seq) || c.gone.Has(c.acks[m.next].seq)) {
		m.next++
	}
	if m.next == len(c.acks) || c.acks[m.next].done >= s.Sent {
		return drill.Bounds{Upper: seconds(c.delta)}, true
	}
	a := c.acks[m.next]
	return drill.Bounds{Lower: seconds(s.Sent.Sub(a.done)), Upper: seconds(s.Done.Sub(a.sent))}, false
}

// fresh reports whether the member's word still holds.
func (m *member) fresh(now drill.Offset) bool { return m.word.known && now.Sub(m.word.at) <= m.stale }

// primaries lists the members that call themselves primary.
func (c *cluster) primaries(now drill.Offset) []string {
	var ps []string
	for name, m := range c.members {
		if m.fresh(now) && m.word.role == drill.RolePrimary {
			ps = append(ps, name)
		}
	}
	slices.Sort(ps)
	return ps
}

// whole reports whether the next fault would be survived: as many members as at plan are known, exactly one is primary,
// all others stream and are close enough. Else it says what is missing.
func (c *cluster) whole(now drill.Offset) (ok bool, why string) {
	if len(c.names) == 0 {
		return false, "the members are not known yet"
	}
	for _, name := range c.names {
		if !c.members[name].fresh(now) {
			if !c.members[name].word.heard {
				return false, name + " has not answered yet"
			}
			return false, name + " does not answer"
		}
	}
	switch ps := c.primaries(now); {
	case len(ps) == 0:
		return false, "no member calls itself primary"
	case len(ps) > 1:
		return false, fmt.Sprintf("%d members call themselves primary: %s", len(ps), strings.Join(ps, ", "))
	}
	for _, name := range c.names {
		w := c.members[name].word
		switch {
		case w.role == drill.RolePrimary:
		case !w.caught && float64(w.lag.Upper) > c.limit:
			return false, fmt.Sprintf("%s; the limit is %s", behind(name, w), say(drill.Seconds(c.limit)))
		case !w.streaming:
			return false, name + " does not stream from the primary"
		}
	}
	return true, ""
}
