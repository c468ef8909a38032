package faults

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/schema"
)

// Methods of killing a primary. They have different recovery times: a process with time to shut down gives its lease
// back; of one without, the lease may run out.
const (
	methodGraceful    = "graceful"     // delete, with the pod's own grace period
	methodForceDelete = "force_delete" // delete with no grace period
)

// confirmWithin is how long after a forced kill the victim may still be seen; a graceful one has its grace period more.
const confirmWithin = 15 * time.Second

func killPrimary() Kind {
	return define(Kind{
		Name: "kill_primary",
		Doc:  "Kill the member that is primary, and optionally keep it from coming back for a while.",
		Example: `fault "kill_primary" "orders" {
  method    = "force_delete"
  hold_down = "45s"
}
`,
		Permissions: func(namespace string) []drill.Permission {
			return append(append(kube.HeldPermissions(), besidePermissions(namespace)...), []drill.Permission{
				{Verb: "get", Resource: "pods", Namespace: namespace},
				{Verb: "list", Resource: "pods", Namespace: namespace},
				{Verb: "delete", Resource: "pods", Namespace: namespace},
			}...)
		},
		Healing: func(p drill.FaultPlan) Healing {
			if p.Hold > 0 {
				return Healing{RunnerLost: "the server, within about 10 s of the pod's end, and 30 s after the hold's end at the latest",
					APIServerLost: "the runner or the server, once the API is back; nothing is bound without it", NodeLost: "nothing to heal: the node is not touched"}
			}
			return Healing{RunnerLost: "its controller makes the pod again", APIServerLost: "its controller, once the API is back",
				NodeLost: "its controller, as far as the pod's volume lets it move"}
		},
	}, func() Impl[killPrimarySpec, killPrimaryState] { return &primaryKiller{} }, schema.Body[killPrimarySpec]{
		Defaults: killPrimarySpec{Method: methodForceDelete},
		Arguments: func(s *killPrimarySpec) []schema.Argument {
			return []schema.Argument{
				targetArgument(&s.Target, "The target whose primary dies."),
				schema.String("method", &s.Method, "How it dies. `force_delete` removes the pod object at once, with no grace period: the kubelet then sends SIGTERM, and SIGKILL about 2 s later. "+
					"Until then the process may serve clients that are connected, and it may or may not hand over. It is no power cut. "+
					"`graceful` leaves it its own grace period, like a drained node: it may hand over, and gives its lease back.",
					schema.OneOf(methodGraceful, methodForceDelete), schema.Later("sigkill", "freeze", "node_loss")),
				schema.Duration("hold_down", &s.HoldDown, "How long the pod is kept from being bound to any node, so that it cannot come back and another member must take over. Its node is not touched.",
					schema.Default("none: it may come back at once")),
			}
		},
	})
}

type killPrimarySpec struct {
	Target   string
	Method   string
	HoldDown time.Duration // 0: it may come back at once
}

// TargetName is the target whose primary is killed.
func (s killPrimarySpec) TargetName(fault string, _ []string) string {
	return targetName(s.Target, fault)
}

// Holds is how long the fault stays.
func (s killPrimarySpec) Holds() time.Duration { return s.HoldDown }

// NeedsRoles reports that the target must have a primary.
func (killPrimarySpec) NeedsRoles() bool { return true }

type killPrimaryState struct {
	Run    string       `json:"run"`
	Target string       `json:"target"`
	Victim drill.Member `json:"victim"`
	IP     string       `json:"ip"`
	Grace  *int64       `json:"grace_seconds,omitempty"` // nil: the pod's own
	Wait   float64      `json:"wait_seconds"`            // how long the victim may take to go
	Held   string       `json:"held,omitempty"`          // the entry of the map that holds it down; empty: it may come back at once
	Hold   float64      `json:"hold_seconds,omitempty"`
}

func (st killPrimaryState) hold() time.Duration { return time.Duration(st.Hold * float64(time.Second)) }

// victim is the member with its address, which a member's own JSON leaves out.
func (st killPrimaryState) victim() drill.Member {
	m := st.Victim
	m.IP = st.IP
	return m
}

// primaryKiller remembers when it injected, so that Confirm can say how long after that the victim was dead, and watches
// that nothing comes in its place while it is held down.
type primaryKiller struct {
	injected time.Time
	watch    *heldWatch // nil: it is not held down
}

func (*primaryKiller) Plan(ctx context.Context, d Deps, name string, spec killPrimarySpec) (killPrimaryState, drill.FaultPlan, error) {
	st := killPrimaryState{Run: d.Run, Target: spec.TargetName(name, d.Targets)}
	victim, err := d.primary(ctx, st.Target)
	if err != nil {
		return st, drill.FaultPlan{}, err
	}
	pod, err := d.Kube.CoreV1().Pods(victim.Namespace).Get(ctx, victim.Name, metav1.GetOptions{})
	if err != nil {
		return st, drill.FaultPlan{}, fmt.Errorf("get %s: %w", victim, err)
	}
	st.Victim, st.IP, st.Wait = victim, victim.IP, confirmWithin.Seconds()
	verb := "Force-delete"
	if spec.Method == methodGraceful {
		verb = "Delete"
		if g := pod.Spec.TerminationGracePeriodSeconds; g != nil {
			st.Wait += float64(*g)
		}
	} else {
		zero := int64(0)
		st.Grace = &zero
	}
	plan := drill.FaultPlan{
		Method: spec.Method, Victims: []drill.Member{victim},
		Sentence: fmt.Sprintf("%s %s (primary, uid %s) on node %s", verb, victim, victim.UID, victim.Node),
		Undo:     "Its controller makes the pod again; nothing else puts back what a killed process had in hand.",
	}
	plan.Beside = d.besideKilled(ctx, plan.Victims, false)
	if spec.HoldDown == 0 {
		return st, plan, nil
	}
	key, prefixed, err := kube.HeldKey(pod)
	if err != nil {
		return st, plan, err
	}
	st.Held, st.Hold, plan.Hold = key, spec.HoldDown.Seconds(), spec.HoldDown
	what := "this pod"
	if prefixed {
		what = fmt.Sprintf("every new pod of %s %s", metav1.GetControllerOf(pod).Kind, metav1.GetControllerOf(pod).Name)
		plan.Beside = append(plan.Beside, fmt.Sprintf("While the hold lasts %s stays without a node: also those of a rollout or of a scale-up.", what))
	}
	plan.Sentence += fmt.Sprintf(", and hold %s down for %s: the API server denies its binding to any node", what, spec.HoldDown)
	plan.Undo += fmt.Sprintf(" The hold ends after %s, or at once when the run ends early; the server ends one that is 30 s overdue or whose run is over. The scheduler then tries again within about 10 s. "+
		"No node is touched.", spec.HoldDown)
	return st, plan, nil
}

func (*primaryKiller) Recheck(ctx context.Context, d Deps, st killPrimaryState) error {
	now, err := d.primary(ctx, st.Target)
	if err != nil {
		return fmt.Errorf("%w: %w", drill.ErrVictimChanged, err)
	}
	if now.UID != st.Victim.UID {
		return fmt.Errorf("%w: the primary was %s (uid %s), and is now %s (uid %s)",
			drill.ErrVictimChanged, st.Victim, st.Victim.UID, now, now.UID)
	}
	if target, ok := d.Target(st.Target); ok {
		target.Connect(ctx, st.victim())
	}
	return nil
}

func (k *primaryKiller) Inject(ctx context.Context, d Deps, st killPrimaryState) error {
	k.injected = time.Now()
	if st.Held != "" {
		k.watch = newHeldWatch(st.Held, st.Victim)
		if err := k.watch.look(ctx, d); err != nil { // who is there already is none of those that must not come
			return fmt.Errorf("list the pods beside %s: %w", st.Victim, err)
		}
		m := kube.HeldMember{Run: st.Run, UID: st.Victim.UID, Until: time.Now().Add(st.hold()), Hold: st.Hold}
		if err := kube.HoldDown(ctx, d.Kube, st.Held, m); err != nil {
			return err
		}
	}
	uid := types.UID(st.Victim.UID)
	err := d.Kube.CoreV1().Pods(st.Victim.Namespace).Delete(ctx, st.Victim.Name, metav1.DeleteOptions{
		GracePeriodSeconds: st.Grace,
		Preconditions:      &metav1.Preconditions{UID: &uid},
	})
	if err != nil {
		return fmt.Errorf("delete %s: %w", st.Victim, err)
	}
	if k.watch != nil {
		k.watch.start(ctx, d)
	}
	return nil
}

// Confirm waits until the pod object is gone, the victim's address accepts no new connection, and the session that was
// open before the kill has ended or is silent.
func (k *primaryKiller) Confirm(ctx context.Context, d Deps, st killPrimaryState) (string, error) {
	target, ok := d.Target(st.Target)
	if !ok {
		return "", fmt.Errorf("no target is called %q", st.Target)
	}
	v := watchDeath(st.victim(), st.Grace != nil, k.injected)
	ctx, cancel := context.WithTimeout(ctx, time.Duration(st.Wait*float64(time.Second)))
	defer cancel()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		_, _ = v.look(ctx, d, target) // a pod that cannot be read is not gone
		if ctx.Err() == nil && v.over() {
			return describeDeaths([]*death{v}), nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", fmt.Errorf("%w: after %.0f s, %s: %s", drill.ErrNotConfirmed, st.Wait, v.victim, v)
		}
	}
}

// Broken says, while the hold lasts, that it does not.
func (k *primaryKiller) Broken() error {
	if k.watch == nil {
		return nil
	}
	return k.watch.broken()
}

// Held shows that whatever came in the victim's place has no node to the end.
func (k *primaryKiller) Held(ctx context.Context, d Deps, st killPrimaryState) error {
	if k.watch == nil {
		return nil
	}
	if err := k.watch.broken(); err != nil {
		return err
	}
	if err := k.watch.look(ctx, d); err != nil {
		return fmt.Errorf("%w: whether %s was held down to the end cannot be seen: %w", drill.ErrNotConfirmed, st.Victim, err)
	}
	return k.watch.broken()
}

func (k *primaryKiller) Revert(ctx context.Context, d Deps, st killPrimaryState) error {
	if k.watch != nil {
		k.watch.stop()
	}
	if st.Held == "" {
		return nil
	}
	return kube.LetGo(ctx, d.Kube, st.Run, st.Held)
}
