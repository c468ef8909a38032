package faults

import (
	"context"
	"fmt"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"

	"github.com/failoverdrill/drill/internal/drill"
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

// cordonedBy marks a node that a run cordoned, so that no revert ever uncordons what somebody else did.
const cordonedBy = "failoverdrill.io/cordoned-by"

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
			return []drill.Permission{
				{Verb: "get", Resource: "pods", Namespace: namespace},
				{Verb: "delete", Resource: "pods", Namespace: namespace},
				{Verb: "get", Resource: "nodes"},
				{Verb: "patch", Resource: "nodes"},
			}
		},
		Healing: func(p drill.FaultPlan) Healing {
			if p.Hold > 0 {
				return Healing{RunnerLost: "the server, within about 10 s of the pod's end", APIServerLost: "the runner or the server, once the API is back",
					NodeLost: "nothing to heal while the node is gone"}
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
				schema.Duration("hold_down", &s.HoldDown, "How long its node is cordoned, so that the pod cannot come back there and another member must take over.",
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
	Cordon bool         `json:"cordon"`                  // whether this run cordons the node and must uncordon it
}

// victim is the member with its address, which a member's own JSON leaves out.
func (st killPrimaryState) victim() drill.Member {
	m := st.Victim
	m.IP = st.IP
	return m
}

// primaryKiller remembers when it injected, so that Confirm can say how long after that the victim was dead.
type primaryKiller struct{ injected time.Time }

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
		Method: spec.Method, Victims: []drill.Member{victim}, Nodes: []string{victim.Node},
		Sentence: fmt.Sprintf("%s %s (primary, uid %s) on node %s", verb, victim, victim.UID, victim.Node),
		Undo:     "Its controller makes the pod again; nothing else puts back what a killed process had in hand.",
	}
	if spec.HoldDown == 0 {
		return st, plan, nil
	}
	node, err := d.Kube.CoreV1().Nodes().Get(ctx, victim.Node, metav1.GetOptions{})
	if err != nil {
		return st, plan, fmt.Errorf("get node %s: %w", victim.Node, err)
	}
	plan.Hold = spec.HoldDown
	if node.Spec.Unschedulable {
		plan.Undo += fmt.Sprintf(" Node %s is cordoned already, by somebody else, and stays so.", victim.Node)
		return st, plan, nil
	}
	st.Cordon = true
	plan.Sentence += fmt.Sprintf(", and cordon that node for %s so that the pod cannot come back", spec.HoldDown)
	plan.Undo += fmt.Sprintf(" Node %s is uncordoned after %s, or at once when the run ends early.", victim.Node, spec.HoldDown)
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
	if st.Cordon {
		if err := setCordon(ctx, d, st, true); err != nil {
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

func (*primaryKiller) Revert(ctx context.Context, d Deps, st killPrimaryState) error {
	if !st.Cordon {
		return nil
	}
	return setCordon(ctx, d, st, false)
}

// setCordon cordons the victim's node in the run's name, or takes back just that. It tries again when somebody else
// changed the node in between; the kubelet does so all the time.
func setCordon(ctx context.Context, d Deps, st killPrimaryState, cordon bool) error {
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error { return trySetCordon(ctx, d, st, cordon) })
}

func trySetCordon(ctx context.Context, d Deps, st killPrimaryState, cordon bool) error {
	name := st.Victim.Node
	node, err := d.Kube.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && !cordon:
		return nil // a node that is gone is not cordoned
	case err != nil:
		return fmt.Errorf("get node %s: %w", name, err)
	case cordon && node.Spec.Unschedulable:
		return fmt.Errorf("cordon node %s: %w: somebody cordoned it since the plan", name, drill.ErrVictimChanged)
	case !cordon && node.Annotations[cordonedBy] != st.Run:
		return nil // not ours, or already taken back
	}
	mark, verb := "null", "uncordon"
	if cordon {
		mark, verb = strconv.Quote(st.Run), "cordon"
	}
	// The resource version makes this a compare-and-swap: nobody else's change in between is overwritten.
	patch := fmt.Sprintf(`{"metadata":{"resourceVersion":%q,"annotations":{%q:%s}},"spec":{"unschedulable":%t}}`,
		node.ResourceVersion, cordonedBy, mark, cordon)
	if _, err := d.Kube.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("%s node %s: %w", verb, name, err)
	}
	return nil
}
