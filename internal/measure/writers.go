package measure

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// pod is one instance of a member. A pod that replaced another one under its name is another instance: an old one may
// still accept writes on a node that nobody reaches.
type pod struct{ name, uid string }

// claim is one sign that a member was primary, at some time between its sending and its answer: a write that it
// acknowledged, or its own word.
type claim struct {
	pod
	sent, done drill.Offset
}

// tenure is a time in which one member showed without a gap that it was primary: from the first claim's answer to when
// the last one was sent.
type tenure struct {
	pod
	from, to drill.Offset
}

// gapLimit is how many Δ may lie between two acknowledgements of a member that went on acknowledging all the time.
const gapLimit = 3

// tenures sorts claims, which come by when they were sent, by who made them.
func tenures(claims []claim, gap time.Duration) []tenure {
	var all []tenure
	open := map[pod]int{}
	for _, c := range claims {
		i, ok := open[c.pod]
		if !ok || c.sent.Sub(all[i].to) > gap {
			i = len(all)
			open[c.pod], all = i, append(all, tenure{c.pod, c.done, c.sent})
		}
		all[i].from, all[i].to = min(all[i].from, c.done), c.sent
	}
	slices.SortStableFunc(all, func(a, b tenure) int { return cmp.Compare(a.from, b.from) })
	return all
}

// together is the time in which two members acknowledged writes, and who they were: each of them one that was sent
// after the other had acknowledged one. A handover, however quick, is none. Both ends of such a time are found up to Δ
// late and early, so Δ is added: what is left of the error is ± Δ.
func together(all []tenure, delta time.Duration) (time.Duration, map[pod]bool) {
	var both []span
	who := map[pod]bool{}
	latest := map[pod]tenure{} // of each pod; an earlier one ended before it began
	for _, b := range all {
		for _, a := range latest {
			if a.pod == b.pod || a.to <= b.from || b.to <= a.from {
				continue
			}
			both = append(both, span{b.from, max(b.from, min(a.to, b.to)).Add(delta)})
			who[a.pod], who[b.pod] = true, true
		}
		latest[b.pod] = b
	}
	return overlap(merge(both), span{0, forever}), who
}

// podNames are the pods' names in order. Two of one name are told apart by the beginning of their UIDs.
func podNames(pods map[pod]bool) []string {
	count := map[string]int{}
	for p := range pods {
		count[p.name]++
	}
	var names []string
	for p := range pods {
		name := p.name
		if count[name] > 1 {
			name = fmt.Sprintf("%s (pod %.8s)", name, p.uid)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// writes are the acknowledged writes, each by the pod that accepted it. Where an answer does not say which pod gave
// it, it is the one that the member's pinned probe met at that time.
func (r *run) writes(acks []slot) []claim {
	pods := r.pods()
	claims := make([]claim, len(acks))
	for i, a := range acks {
		p := pod{by(a), uidOf(a)}
		if p.uid == "" {
			p.uid = podAt(pods[p.name], a.Sent)
		}
		claims[i] = claim{p, a.Sent, a.Done}
	}
	return claims
}

// uidOf is the UID of the pod that answered; empty when it is not known.
func uidOf(s slot) string {
	if s.ByUID == "" && s.Reading != nil {
		return s.Reading.UID
	}
	return s.ByUID
}

// meeting is the first time that a pinned probe met a pod.
type meeting struct {
	at  drill.Offset
	uid string
}

// pods lists by member which pods its pinned probe met, in order.
func (r *run) pods() map[string][]meeting {
	met := map[string][]meeting{}
	for _, p := range r.of(drill.ClassPinned) {
		for _, s := range p.slots {
			uid := uidOf(s)
			if uid == "" {
				continue
			}
			if have := met[by(s)]; len(have) == 0 || have[len(have)-1].uid != uid {
				met[by(s)] = append(have, meeting{s.Sent, uid})
			}
		}
	}
	return met
}

// podAt is the pod that was met last at some moment, or first of all.
func podAt(met []meeting, at drill.Offset) string {
	if len(met) == 0 {
		return ""
	}
	i, _ := slices.BinarySearchFunc(met, at, func(m meeting, t drill.Offset) int { return cmp.Compare(m.at, t+1) })
	return met[max(0, i-1)].uid
}

// leaderGap is how long a member that leads may be silent while others are heard, and lead all the time.
const leaderGap = time.Second

// leaderChanges is the larger of two numbers: the changes that are seen in acknowledgements and in the members' own
// word, and the epochs that began. A primary that came and went between two looks shows in the epochs alone.
func (r *run) leaderChanges(acks []slot) int {
	claims, first, newest := r.claims(acks)
	gap := max(leaderGap, gapLimit*r.pinnedDelta())
	return max(changes(tenures(claims, gap), gap), int(newest-first))
}

// claims are all signs that a member was primary, from the hold on, by when they were sent; with the epoch of the
// first one and the newest epoch. A member that comes back under its name is the same member: a restart in place is no
// change.
func (r *run) claims(acks []slot) (claims []claim, first, newest int64) {
	begin := r.baseline(r.headline).from
	words := slices.Clone(acks)
	for _, p := range r.of(drill.ClassPinned) {
		for _, s := range p.slots {
			if s.Role == drill.RolePrimary && (answered(s) || s.Reading != nil) && !acknowledged(s) && s.Sent >= begin {
				words = append(words, s)
			}
		}
	}
	slices.SortFunc(words, bySending)
	for _, s := range words {
		claims = append(claims, claim{pod{name: by(s)}, s.Sent, s.Done})
		if first == 0 {
			first = s.Epoch
		}
		newest = max(newest, s.Epoch)
	}
	// Of a view only what is new in it counts: until the next one the rest may have changed already.
	for i, v := range r.views {
		for _, name := range v.Member {
			if v.at >= begin && i > 0 && !slices.Contains(r.views[i-1].Member, name) {
				claims = append(claims, claim{pod{name: name}, v.at, v.at})
			}
		}
	}
	slices.SortStableFunc(claims, func(a, b claim) int { return cmp.Compare(a.sent, b.sent) })
	return claims, first, newest
}

// changes counts how often the leader changed. A member that led before and is heard again while its successor goes on
// for as long is a zombie, and no leader again.
func changes(all []tenure, gap time.Duration) (n int) {
	latest := map[string]tenure{}
	leader := ""
	for _, t := range all {
		now := latest[leader]
		_, led := latest[t.name]
		latest[t.name] = t
		switch {
		case leader == t.name:
		case leader == "":
			leader = t.name
		case led && (t.to <= now.from || now.to > t.from && t.to <= now.to.Add(gap)):
		default:
			leader = t.name
			n++
		}
	}
	return n
}
