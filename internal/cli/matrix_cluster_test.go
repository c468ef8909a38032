package cli

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"

	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/server"
	"github.com/failoverdrill/drill/test/fakeapi"
)

// cluster is the world of one cell of the matrix: an API server in memory, its kubelets and controllers, a database of
// three pods, and drill's own processes. All of it lives in one bubble, in virtual time.
type cluster struct {
	api  *fakeapi.Server
	stop chan struct{}
	wg   sync.WaitGroup

	mu        sync.Mutex
	run       string // the run's id
	processes map[types.UID]*process
	hooks     func(name string, c *fakeapi.Client) // prepares each process's way to the API server
	database  database
	watched   watched
	shuttings []func()
}

// process is one of drill's own.
type process struct {
	client *fakeapi.Client
	cancel context.CancelCauseFunc
	done   chan struct{}
	out    bytes.Buffer // guarded by the cluster's lock
	died   time.Time
}

// noPort is no address: nothing listens in a bubble.
const noPort = "127.0.0.1:99999"

var shopNodes = []string{"n1", "n2", "n3"}

func newCluster() *cluster {
	c := &cluster{api: fakeapi.New(), stop: make(chan struct{}), processes: map[types.UID]*process{}}
	c.api.Watch = c.observe
	c.api.Logs = c.log
	c.api.Deny = deny
	for _, ns := range []string{"shop", kube.Namespace, kube.Namespace + "-agents", "default"} {
		c.api.Put("namespaces", object("v1", "Namespace", "", ns, nil))
	}
	for _, n := range append([]string{"cp"}, shopNodes...) {
		c.api.Put("nodes", object("v1", "Node", "", n, map[string]any{"spec": map[string]any{},
			"status": map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "True"}}}}))
	}
	c.api.Put("configmaps", object("v1", "ConfigMap", kube.Namespace, kube.HeldMembers, map[string]any{"data": map[string]any{}}))
	c.wg.Go(func() { c.api.Follow(c.stop, c.kubelet) })
	for i := range shopNodes {
		c.shopPod(i)
	}
	return c
}

// close ends everything that is left, and waits for it.
func (c *cluster) close() {
	c.mu.Lock()
	all := c.shuttings
	c.mu.Unlock()
	for _, f := range all {
		f()
	}
	close(c.stop)
	c.wg.Wait()
}

func object(version, kind, namespace, name string, more map[string]any) *fakeapi.Object {
	o := &fakeapi.Object{Object: map[string]any{"apiVersion": version, "kind": kind, "metadata": map[string]any{"name": name}}}
	if namespace != "" {
		o.SetNamespace(namespace)
	}
	maps.Copy(o.Object, more)
	return o
}

// connect makes a process's client.
func (c *cluster) connect(name string) (*kube.Client, *fakeapi.Client) {
	way := c.api.Client(name)
	if c.hooks != nil {
		c.hooks(name, way)
	}
	config := way.Config()
	return &kube.Client{Interface: kubernetes.NewForConfigOrDie(config), Dynamic: dynamic.NewForConfigOrDie(config),
		Metadata: metadata.NewForConfigOrDie(config), Config: config, Context: "fake", Host: config.Host, Version: "v1.36.0"}, way
}

func (c *cluster) env(out, errs *bytes.Buffer, s *stage) *Env {
	values := map[string]string{server.EnvImage: "drill:test"}
	return &Env{Stdout: locked{&c.mu, out}, Stderr: locked{&c.mu, errs}, Getenv: func(k string) string { return values[k] }, stage: s}
}

// locked is a buffer that several goroutines write.
type locked struct {
	mu *sync.Mutex
	b  *bytes.Buffer
}

func (l locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// serve starts one of drill's servers.
func (c *cluster) serve(name string) *process {
	client, way := c.connect(name)
	ctx, cancel := context.WithCancelCause(context.Background())
	p := &process{client: way, cancel: cancel, done: make(chan struct{})}
	way.Died = func() { cancel(errKilled) }
	env := c.env(&p.out, new(bytes.Buffer), nil)
	c.wg.Go(func() {
		defer close(p.done)
		_ = server.Run(ctx, server.Options{Client: client, Namespace: kube.Namespace, Image: "drill:test", Identity: name, Log: zap.NewNop(),
			Registry: prometheus.NewRegistry(), Check: admission(env), Revert: revert(client),
			Prove: func(context.Context) ([]kube.Hole, error) { return nil, nil }})
		way.Wait()
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shuttings = append(c.shuttings, func() { way.Kill(); cancel(errKilled); <-p.done })
	return p
}

var errKilled = fmt.Errorf("TEST: killed")

// kubelet starts and ends pods, and is the controller that brings the database's back.
func (c *cluster) kubelet(change fakeapi.Change) {
	if change.Resource != "pods" {
		return
	}
	o := change.Object()
	after := func(d time.Duration, do func()) {
		c.wg.Go(func() {
			select {
			case <-time.After(d):
				do()
			case <-c.stop:
			}
		})
	}
	deleting := change.After != nil && o.GetDeletionTimestamp() != nil && (change.Before == nil || change.Before.GetDeletionTimestamp() == nil)
	gone := func() { c.api.Gone("pods", o.GetNamespace(), o.GetName(), o.GetUID()) }
	switch runner := o.GetLabels()[kube.LabelComponent] == "runner"; {
	case change.Before == nil && runner:
		after(300*time.Millisecond, func() { c.startRunner(o) })
	case change.Before == nil && o.GetNamespace() == "shop":
		after(300*time.Millisecond, func() { c.schedule(o) })
	case change.Before == nil:
		after(300*time.Millisecond, func() { c.running(o) })
	case deleting && runner:
		after(0, func() { c.terminate(o.GetUID()); gone() })
	case deleting:
		after(time.Second, gone)
	case change.After == nil && runner:
		c.kill(o.GetUID())
	case change.After == nil && o.GetNamespace() == "shop":
		after(2*time.Second, func() { c.shopPod(int(o.GetName()[len("orders-")] - '0')) })
	}
}

// running says that a pod runs, unless it is gone by now.
func (c *cluster) running(pod *fakeapi.Object) {
	ip := fmt.Sprintf("10.0.%d.1", int(pod.GetUID()[35]))
	c.api.Edit("pods", pod, func(o *fakeapi.Object) {
		o.Object["status"] = map[string]any{"phase": "Running", "podIP": ip, "podIPs": []any{map[string]any{"ip": ip}},
			"conditions": []any{map[string]any{"type": "Ready", "status": "True"}}}
	})
}

// ended says how a runner's pod ended.
func (c *cluster) ended(pod *fakeapi.Object, code int64, reason string) {
	phase := "Succeeded"
	if code != 0 {
		phase = "Failed"
	}
	c.api.Edit("pods", pod, func(o *fakeapi.Object) {
		o.Object["status"] = map[string]any{"phase": phase, "containerStatuses": []any{map[string]any{
			"name": "runner", "image": "drill:test", "imageID": "", "ready": false, "restartCount": int64(0),
			"state": map[string]any{"terminated": map[string]any{"exitCode": code, "reason": reason}}}}}
	})
}

// startRunner is a runner pod's container: the real thing, with a database of ours.
func (c *cluster) startRunner(pod *fakeapi.Object) {
	if o := c.api.Get("pods", pod.GetNamespace(), pod.GetName()); o == nil || o.GetUID() != pod.GetUID() || o.GetDeletionTimestamp() != nil {
		return
	}
	c.running(pod)
	client, way := c.connect("runner")
	ctx, cancel := context.WithCancelCause(context.Background())
	p := &process{client: way, cancel: cancel, done: make(chan struct{})}
	dead := make(chan struct{})
	way.Died = func() {
		c.mu.Lock()
		p.died = time.Now()
		c.mu.Unlock()
		close(dead)
		cancel(errKilled)
	}
	c.mu.Lock()
	c.processes[pod.GetUID()] = p
	run := pod.GetLabels()[kube.LabelRun]
	c.mu.Unlock()
	me := kube.Runner{Pod: pod.GetName(), UID: string(pod.GetUID()), Node: "cp"}
	env := c.env(&p.out, new(bytes.Buffer), &stage{target: &shop{c}, sampler: everyTick, fault: c.fault(client, p)})
	ended := make(chan error, 1)
	c.wg.Go(func() {
		defer close(p.done)
		ended <- execRun(ctx, env, client, run, me, noPort)
		way.Wait()
	})
	c.wg.Go(func() {
		select {
		case err := <-ended:
			switch {
			case way.Dead():
				c.ended(pod, 137, "Error")
			case err != nil:
				c.ended(pod, 1, "Error")
			default:
				c.ended(pod, 0, "Completed")
			}
		case <-dead:
			time.Sleep(200 * time.Millisecond)
			c.ended(pod, 137, "Error")
		}
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shuttings = append(c.shuttings, func() { way.Kill(); <-p.done })
}

// runner is the run's newest runner process; nil while there is none.
func (c *cluster) runner() *process {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.processes {
		return p
	}
	return nil
}

func (c *cluster) kill(uid types.UID) {
	c.mu.Lock()
	p := c.processes[uid]
	c.mu.Unlock()
	if p != nil {
		p.client.Kill()
	}
}

// terminate is a kubelet's SIGTERM, the grace period and SIGKILL.
func (c *cluster) terminate(uid types.UID) {
	c.mu.Lock()
	p := c.processes[uid]
	c.mu.Unlock()
	if p == nil {
		return
	}
	p.cancel(errStopped)
	select {
	case <-p.done:
	case <-time.After(2 * time.Minute):
	case <-c.stop:
	}
	p.client.Kill()
}

func (c *cluster) log(pod string) string {
	o := c.api.Get("pods", kube.Namespace, pod)
	if o == nil {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.processes[o.GetUID()]; p != nil {
		return p.out.String()
	}
	return ""
}

// shopPod makes the database's i-th pod.
func (c *cluster) shopPod(i int) {
	pod := object("v1", "Pod", "shop", fmt.Sprintf("orders-%d", i), map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "db"}}}})
	pod.SetLabels(map[string]string{"app": "orders"})
	pod.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "orders", UID: "statefulset", Controller: new(true)}})
	c.api.Put("pods", pod)
}

// schedule binds a pod of the database to its own node, as soon as nothing is against it, and starts it.
func (c *cluster) schedule(pod *fakeapi.Object) {
	i := int(pod.GetName()[len("orders-")] - '0')
	for {
		node := c.api.Get("nodes", "", shopNodes[i])
		if node.Object["spec"].(map[string]any)["unschedulable"] != true && deny("shop", pod.GetName(), c.api.Get) == "" {
			break
		}
		select {
		case <-time.After(time.Second):
		case <-c.stop:
			return
		}
	}
	c.api.Edit("pods", pod, func(o *fakeapi.Object) { o.Object["spec"].(map[string]any)["nodeName"] = shopNodes[i] })
	c.running(pod)
}

// deny is the admission policy that keeps members that are held down from being bound.
func deny(namespace, pod string, get func(resource, namespace, name string) *fakeapi.Object) string {
	held := get("configmaps", kube.Namespace, kube.HeldMembers)
	if data, _ := held.Object["data"].(map[string]any); data[namespace+"."+pod] != nil {
		return "ValidatingAdmissionPolicy " + kube.HeldPolicy + " denied request"
	}
	return ""
}

// record is the run's record; nil when it is gone.
func (c *cluster) record() *kube.DrillRun {
	o := c.api.Get("drillruns", kube.Namespace, c.run)
	if o == nil {
		return nil
	}
	r, err := kube.DecodeRun(o)
	if err != nil {
		return nil
	}
	return r
}

// over reports whether nobody has anything to do with the run any more.
func (c *cluster) over() bool {
	r := c.record()
	return r == nil || r.Finished() && !slices.Contains(r.Finalizers, kube.Finalizer)
}

// await waits until something is so, at most so long.
func (c *cluster) await(atMost time.Duration, is func() bool) bool {
	for until := time.Now().Add(atMost); time.Now().Before(until); time.Sleep(500 * time.Millisecond) {
		if is() {
			return true
		}
	}
	return false
}
