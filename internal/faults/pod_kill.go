package faults

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/schema"
)

func podKill() Kind {
	return define(Kind{
		Name: "pod_kill",
		Doc:  "Remove one, some or all of the members' pods.",
		Example: `fault "pod_kill" "checkout" {
  count  = 2
  method = "force_delete"
}
`,
		Permissions: func(namespace string) []drill.Permission {
			return []drill.Permission{
				{Verb: "get", Resource: "pods", Namespace: namespace},
				{Verb: "delete", Resource: "pods", Namespace: namespace},
				{Verb: "create", Resource: "pods/eviction", Namespace: namespace},
				besidePermissions(namespace)[0],
				besidePermissions(namespace)[1],
			}
		},
		Healing: func(drill.FaultPlan) Healing {
			return Healing{RunnerLost: "their controller makes the pods again; a pod without one stays away", APIServerLost: "their controller, once the API is back",
				NodeLost: "their controller, on another node"}
		},
	}, func() Impl[podKillSpec, podKillState] { return &podKiller{} }, schema.Body[podKillSpec]{
		Defaults: podKillSpec{Method: methodGraceful},
		Arguments: func(s *podKillSpec) []schema.Argument {
			return []schema.Argument{
				targetArgument(&s.Target, "The target whose pods go."),
				schema.Number("count", &s.Count, "How many pods go; all of them when there are not so many.", schema.Default("1"), schema.AtLeast(1)),
				schema.Number("percent", &s.Percent, "What share of the pods goes, rounded up.", schema.Between(1, 100)),
				schema.Bool("all", &s.All, "Every pod goes. It can only be true; one of count, percent and all may be given.", schema.Default(""), schema.Check(func(all bool) (string, string) {
					if !all {
						return "all = false", "all can only be true. Leave it out, and write count or percent."
					}
					return "", ""
				})),
				schema.String("role", &s.Role, "Only members of this role may be taken, of a target whose members have roles.", schema.Default("any member may be taken"),
					schema.OneOf(string(drill.RolePrimary), string(drill.RoleReplica))),
				schema.String("method", &s.Method, "How they go. `graceful` deletes them with their own grace period. `force_delete` leaves them none: the objects are gone at once, and the kubelet "+
					"sends SIGTERM, and SIGKILL about 2 s later; until then they may serve clients that are connected. `evict` asks the Eviction API, as the drain of a node does, and a PodDisruptionBudget may keep some.",
					schema.OneOf(methodGraceful, methodForceDelete, methodEvict)),
			}
		},
		Check: (*podKillSpec).check,
	})
}

type podKillSpec struct {
	Target  string
	Count   int // 0: not given
	Percent int // 0: not given
	All     bool
	Role    string // empty: any
	Method  string
}

func (s *podKillSpec) check(d *schema.Decoded) {
	var ways []hcl.Range
	for _, way := range []string{"count", "percent", "all"} {
		if d.Given(way) {
			ways = append(ways, d.At(way))
		}
	}
	if len(ways) > 1 {
		slices.SortFunc(ways, func(a, b hcl.Range) int { return a.Start.Byte - b.Start.Byte })
		d.Report(ways[1], "Two ways to say how many", "count, percent and all exclude each other. Keep one of them.")
	}
}

// TargetName is the target whose pods are killed.
func (s podKillSpec) TargetName(fault string, _ []string) string { return targetName(s.Target, fault) }

// NeedsRoles reports whether only a target of whose members one is primary will do.
func (s podKillSpec) NeedsRoles() bool { return s.Role != "" }

// number is how many of n pods go: percent rounds up, and there are never more than there are.
func (s podKillSpec) number(n int) int {
	switch {
	case s.All:
		return n
	case s.Percent > 0:
		return (n*s.Percent + 99) / 100
	case s.Count > 0:
		return min(s.Count, n)
	}
	return min(1, n)
}

type podKillState struct {
	Target  string       `json:"target"`
	Role    string       `json:"role,omitempty"` // that the victims must have; empty: any
	Method  string       `json:"method"`
	Victims []killVictim `json:"victims"`
	Wait    float64      `json:"wait_seconds"` // how long the victims may take to go
}

// killVictim is a member with its address, which a member's own JSON leaves out.
type killVictim struct {
	drill.Member
	IP string `json:"ip"`
}

func (v killVictim) member() drill.Member {
	m := v.Member
	m.IP = v.IP
	return m
}

// podKiller remembers when it injected, so that Confirm can say how long after that the victims were dead.
type podKiller struct{ injected time.Time }

func (*podKiller) Plan(ctx context.Context, d Deps, name string, spec podKillSpec) (podKillState, drill.FaultPlan, error) {
	st := podKillState{Target: spec.TargetName(name, d.Targets), Role: spec.Role, Method: spec.Method, Wait: confirmWithin.Seconds()}
	target, ok := d.Target(st.Target)
	if !ok {
		return st, drill.FaultPlan{}, fmt.Errorf("no target is called %q", st.Target)
	}
	members, err := target.Members(ctx)
	if err != nil {
		return st, drill.FaultPlan{}, err
	}
	var pods []*corev1.Pod
	var able []drill.Member
	for _, m := range members {
		if spec.Role != "" && string(m.Role) != spec.Role {
			continue
		}
		pod, err := d.Kube.CoreV1().Pods(m.Namespace).Get(ctx, m.Name, metav1.GetOptions{})
		if err != nil {
			return st, drill.FaultPlan{}, fmt.Errorf("get %s: %w", m, err)
		}
		pods, able = append(pods, pod), append(able, m)
	}
	if len(able) == 0 {
		return st, drill.FaultPlan{}, &drill.Refusal{Code: "no_victim", Text: fmt.Sprintf(
			"Target %q has %d members, and none with role %q. Correct role, or leave it out", st.Target, len(members), spec.Role)}
	}
	plan := drill.FaultPlan{Method: spec.Method}
	for _, i := range oldest(pods)[:spec.number(len(able))] {
		m := able[i]
		st.Victims = append(st.Victims, killVictim{m, m.IP})
		plan.Victims = append(plan.Victims, m)
		if g := pods[i].Spec.TerminationGracePeriodSeconds; g != nil && spec.Method != methodForceDelete {
			st.Wait = max(st.Wait, confirmWithin.Seconds()+float64(*g))
		}
	}
	plan.Beside = d.besideKilled(ctx, plan.Victims, spec.Method == methodEvict)
	plan.Sentence = podKillSentence(spec.Method, plan.Victims, len(able))
	plan.Undo = "Their controller makes the pods again; nothing else puts back what the killed processes had in hand."
	return st, plan, nil
}

// oldest puts pods in the order in which they are taken: the oldest first. A plan then shows whom the run will take, and
// runs in a row go round, because whoever was killed is the youngest.
func oldest(pods []*corev1.Pod) []int {
	order := make([]int, len(pods))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		if c := pods[a].CreationTimestamp.Compare(pods[b].CreationTimestamp.Time); c != 0 {
			return c
		}
		return strings.Compare(pods[a].Name, pods[b].Name)
	})
	return order
}

func podKillSentence(method string, victims []drill.Member, of int) string {
	verb := map[string]string{methodGraceful: "Delete", methodForceDelete: "Force-delete", methodEvict: "Evict"}[method]
	var who []string
	for _, v := range victims {
		text := fmt.Sprintf("%s (uid %s) on node %s", v, v.UID, v.Node)
		if v.Role != drill.RoleUnknown {
			text = fmt.Sprintf("%s (%s, uid %s) on node %s", v, v.Role, v.UID, v.Node)
		}
		who = append(who, text)
	}
	s := fmt.Sprintf("%s %d of %d pods, the oldest first: %s", verb, len(victims), of, strings.Join(who, "; "))
	if method == methodEvict {
		s += ". A PodDisruptionBudget may keep some of them"
	}
	return s
}

func (*podKiller) Recheck(ctx context.Context, d Deps, st podKillState) error {
	for _, v := range st.Victims {
		pod, err := d.Kube.CoreV1().Pods(v.Namespace).Get(ctx, v.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return fmt.Errorf("%w: %s is gone", drill.ErrVictimChanged, v)
		case err != nil:
			return fmt.Errorf("get %s: %w", v, err)
		case string(pod.UID) != v.UID:
			return fmt.Errorf("%w: %s had uid %s, and now has %s", drill.ErrVictimChanged, v, v.UID, pod.UID)
		case !podReady(pod):
			return fmt.Errorf("%w: %s is not Ready any more", drill.ErrVictimChanged, v)
		}
	}
	if err := recheckRoles(ctx, d, st); err != nil {
		return err
	}
	connectVictims(ctx, d, st)
	return nil
}

// connectVictims opens the connections that show when the victims' processes end. The object of a graceful delete stays
// until they have ended, so only a forced one needs them; and an idle connection could prolong a graceful shutdown.
func connectVictims(ctx context.Context, d Deps, st podKillState) {
	target, ok := d.Target(st.Target)
	if !ok || st.Method != methodForceDelete {
		return
	}
	var wg sync.WaitGroup
	for _, v := range st.Victims {
		wg.Go(func() { target.Connect(ctx, v.member()) })
	}
	wg.Wait()
}

// recheckRoles asks the members once more, when the victims were chosen by role.
func recheckRoles(ctx context.Context, d Deps, st podKillState) error {
	if st.Role == "" {
		return nil
	}
	target, ok := d.Target(st.Target)
	if !ok {
		return fmt.Errorf("no target is called %q", st.Target)
	}
	now, err := target.Members(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", drill.ErrVictimChanged, err)
	}
	for _, v := range st.Victims {
		i := slices.IndexFunc(now, func(m drill.Member) bool { return m.UID == v.UID })
		if i < 0 || string(now[i].Role) != st.Role {
			return fmt.Errorf("%w: %s is not %s any more", drill.ErrVictimChanged, v, st.Role)
		}
	}
	return nil
}

func podReady(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func (k *podKiller) Inject(ctx context.Context, d Deps, st podKillState) error {
	k.injected = time.Now()
	if st.Method == methodEvict {
		return evict(ctx, d, st)
	}
	for _, v := range st.Victims {
		o := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: new(types.UID(v.UID))}}
		if st.Method == methodForceDelete {
			o.GracePeriodSeconds = new(int64)
		}
		if err := d.Kube.CoreV1().Pods(v.Namespace).Delete(ctx, v.Name, o); err != nil {
			return fmt.Errorf("delete %s: %w", v, err)
		}
	}
	return nil
}

// Confirm waits until every victim is out of service for good: it is dead, or it is being deleted and no Service leads
// to it. The second is enough for a graceful delete, whose victim may serve through its whole grace period.
func (k *podKiller) Confirm(ctx context.Context, d Deps, st podKillState) (string, error) {
	target, ok := d.Target(st.Target)
	if !ok {
		return "", fmt.Errorf("no target is called %q", st.Target)
	}
	var all []*death
	for _, v := range st.Victims {
		all = append(all, watchDeath(v.member(), st.Method == methodForceDelete, k.injected))
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(st.Wait*float64(time.Second)))
	defer cancel()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	seen := "nothing could be seen"
	for {
		f := watchOver(ctx, d, target, st.Method, all)
		if ctx.Err() == nil { // else the look was cut short and says nothing
			if f.done() {
				return f.String(), nil
			}
			seen = f.String()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", fmt.Errorf("%w: after %.0f s: %s", drill.ErrNotConfirmed, st.Wait, seen)
		}
	}
}

// fate is how far the victims have gone.
type fate struct {
	dead                    []*death
	leaving, served, spared int      // served: of the leaving ones, those that drill still has a session to
	left                    []string // why the others do not count yet
}

func (f fate) done() bool { return len(f.left) == 0 && len(f.dead)+f.leaving > 0 }

func (f fate) String() string {
	var parts []string
	if text := describeDeaths(f.dead); text != "" {
		parts = append(parts, text)
	}
	if f.leaving > 0 {
		text := fmt.Sprintf("%d being deleted, no Service leads there", f.leaving)
		if f.served > 0 {
			text += fmt.Sprintf(", and %d may serve clients that are still connected", f.served)
		}
		parts = append(parts, text)
	}
	if f.spared > 0 {
		parts = append(parts, fmt.Sprintf("%d kept by a budget", f.spared))
	}
	return strings.Join(append(parts, f.left...), "; ")
}

// watchOver looks at every victim once.
func watchOver(ctx context.Context, d Deps, target Target, method string, all []*death) fate {
	var wg sync.WaitGroup
	pods, errs := make([]*corev1.Pod, len(all)), make([]error, len(all))
	for i, v := range all {
		wg.Go(func() { pods[i], errs[i] = v.look(ctx, d, target) })
	}
	wg.Wait()
	var f fate
	for i, v := range all {
		switch {
		case v.over():
			f.dead = append(f.dead, v)
		case !v.gone.IsZero():
			f.left = append(f.left, fmt.Sprintf("%s: %s", v.victim, v))
		case errs[i] != nil:
			f.left = append(f.left, fmt.Sprintf("%s cannot be read: %v", v.victim, errs[i]))
		case pods[i].DeletionTimestamp == nil && method == methodEvict:
			f.spared++ // an eviction that was allowed marks the object before it returns
		case pods[i].DeletionTimestamp == nil:
			f.left = append(f.left, v.victim.String()+" is not being deleted")
		default:
			led, err := ledTo(ctx, d, v.victim)
			if err != nil || led {
				f.left = append(f.left, v.victim.String()+" is being deleted and a Service may lead there")
				continue
			}
			f.leaving++
			if v.connection.State == drill.ConnectionOpen {
				f.served++
			}
		}
	}
	return f
}

// ledTo reports whether any Service in the victim's namespace still leads to it.
func ledTo(ctx context.Context, d Deps, v drill.Member) (bool, error) {
	all, err := d.Kube.DiscoveryV1().EndpointSlices(v.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, fmt.Errorf("list endpointslices: %w", err)
	}
	for _, s := range all.Items {
		for _, e := range s.Endpoints {
			ready := e.Conditions.Ready == nil || *e.Conditions.Ready
			if ready && e.TargetRef != nil && string(e.TargetRef.UID) == v.UID {
				return true, nil
			}
		}
	}
	return false, nil
}

// Revert has nothing to do: a pod that was removed comes back by its controller, or not at all.
func (*podKiller) Revert(context.Context, Deps, podKillState) error { return nil }
