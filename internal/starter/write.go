package starter

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// DrillName is what a drill of the system is called by default.
func (s *System) DrillName() string {
	if s.Kind == kindPostgreSQL {
		return name(s.Name) + "-kill-primary"
	}
	return name(s.Name) + "-pod-kill"
}

// Write is a drill file for the system, formatted and commented for somebody who has never seen one.
func (s *System) Write(drillName string) []byte {
	f := hclwrite.NewEmptyFile()
	top := block{f.Body()}
	s.head(top)
	d := top.block("drill", drillName)
	if s.Kind == kindPostgreSQL {
		s.postgresql(d)
	} else {
		s.deployment(d)
	}
	return hclwrite.Format(f.Bytes())
}

// block writes into a body.
type block struct{ *hclwrite.Body }

// commentWidth is how long a comment's line may be, without what indents it.
const commentWidth = 110

// comment writes a paragraph.
func (b block) comment(format string, args ...any) {
	line := ""
	flush := func() {
		b.AppendUnstructuredTokens(hclwrite.Tokens{{Type: hclsyntax.TokenComment, Bytes: []byte("# " + line + "\n")}})
		line = ""
	}
	for word := range strings.FieldsSeq(fmt.Sprintf(format, args...)) {
		if line != "" && len(line)+1+len(word) > commentWidth {
			flush()
		}
		line = strings.TrimSpace(line + " " + word)
	}
	flush()
}

func (b block) block(kind string, labels ...string) block {
	return block{b.AppendNewBlock(kind, labels).Body()}
}

func (b block) text(name, value string) { b.SetAttributeValue(name, cty.StringVal(value)) }

func (b block) number(name string, value int64) { b.SetAttributeValue(name, cty.NumberIntVal(value)) }

// raw writes an expression as it is given.
func (b block) raw(name, expression string) {
	f, diags := hclwrite.ParseConfig([]byte("x = "+expression+"\n"), "", hcl.InitialPos)
	if diags.HasErrors() {
		panic(fmt.Sprintf("drill wrote an expression that it cannot read: %s", expression))
	}
	b.SetAttributeRaw(name, f.Body().GetAttribute("x").Expr().BuildTokens(nil))
}

func (b block) gap() { b.AppendNewline() }

// head says what was found, and what to do with the file.
func (s *System) head(b block) {
	zones := ""
	switch len(s.Zones) {
	case 0:
	case 1:
		zones = ", all in zone " + s.Zones[0]
	default:
		zones = fmt.Sprintf(", in zones %s", strings.Join(s.Zones, ", "))
	}
	b.comment("%s in namespace %s (%s): %d pods%s.", s.Name, s.Namespace, s.Title, len(s.Members), zones)
	b.comment("drill init wrote this from what runs in the cluster. Read it once; what to look at is marked TODO. Then:")
	b.AppendUnstructuredTokens(hclwrite.Tokens{{Type: hclsyntax.TokenComment, Bytes: []byte("#\n#   drill validate FILE   everything that is wrong with it, without a cluster\n" +
		"#   drill plan FILE       what a run would touch now; reads only\n#   drill run FILE        do it, and report\n")}})
	for _, w := range s.Warnings() {
		b.AppendUnstructuredTokens(hclwrite.Tokens{{Type: hclsyntax.TokenComment, Bytes: []byte("#\n")}})
		b.comment("%s", w)
	}
	b.gap()
}

// Warnings are what the user should know of the system before anything is run.
func (s *System) Warnings() []string {
	var all []string
	if s.NotYet == postgresAlone {
		all = append(all, "The pods look like PostgreSQL, and carry no role label that drill knows. If another label says who is primary, write a target \"postgresql\" with role_label and primary_value. Until then "+
			"this drill treats the pods as all alike: it counts no writes, and does not know who is primary.")
	} else if s.NotYet != "" {
		all = append(all, fmt.Sprintf("drill has no target of a kind for %s yet. What can be done now is below: the pods as a target \"deployment\", which are all alike to it, and a probe that asks as clients do. "+
			"It counts no writes, and does not know who leads.", s.NotYet))
	}
	if len(s.Members) == 1 {
		all = append(all, "There is one pod only, so nobody can take over: this drill measures how long a restart takes.")
	} else if len(s.Zones) == 1 {
		all = append(all, "All pods are in one zone: what this drill shows says nothing about the loss of a zone.")
	}
	if len(s.Unread) > 0 {
		all = append(all, fmt.Sprintf("You may not list %s here, so what follows from them is a guess.", list(s.Unread)))
	}
	return all
}

func (s *System) steady(b block, condition, message string) {
	b.gap()
	b.comment("Nothing is touched unless all is well for this long without a break.")
	st := b.block("steady_state")
	st.text("hold", "10s")
	st.text("timeout", "2m")
	st.gap()
	a := st.block("assert")
	a.raw("condition", condition)
	a.raw("error_message", message)
}

func (s *System) abort(b block, value string, after time.Duration) {
	b.gap()
	b.comment("When to give up and put everything back: twice recovery_time below, so that a slow recovery is still measured.")
	a := b.block("abort", "outage")
	a.raw("condition", fmt.Sprintf("%s > duration(%q)", value, short(after)))
	a.raw("error_message", fmt.Sprintf(`"Clients have had no good answer for ${%s} s."`, value))
}

func (s *System) postgresql(b block) {
	lease := s.TTL
	if lease == 0 {
		lease = 30 * time.Second // Patroni's default; CloudNativePG is usually faster
	}
	recovery, target := 2*lease, name(s.Name)
	b.text("description", fmt.Sprintf("The primary of %s dies. A replica takes over within %s.", s.Name, short(recovery)))
	b.gap()
	t := b.block("target", kindPostgreSQL, target)
	t.text("namespace", s.Namespace)
	t.text("selector", s.Selector)
	t.text("preset", s.Preset)
	t.gap()
	s.serviceOf(t)
	s.dsn(t)
	if s.Read != "" {
		t.gap()
		t.comment("Where clients read: it leads to the replicas. It counts when objectives asks for read_outage or staleness.")
		t.text("read_service", s.Read)
	}
	at := "target." + target
	s.steady(b, fmt.Sprintf("%s.lag_seconds < 1 && %s.success_ratio >= 0.99", at, at),
		fmt.Sprintf(`"Not steady: the replicas lag ${%s.lag_seconds} s, and a share of ${%s.success_ratio} of the writes succeeds."`, at, at))
	b.gap()
	k := b.block("fault", "kill_primary", target)
	k.comment("Its processes are killed after about 2 s, and it may or may not hand over. \"graceful\" is like a drained node.")
	k.text("method", "force_delete")
	k.gap()
	switch {
	case s.TTL > 0:
		k.comment("The pod is kept away (it is not bound to any node) for longer than Patroni's lease, ttl = %s here: it would be back before that and simply resume, and nobody had to take over.", short(s.TTL))
	case s.Preset == "cloudnativepg":
		k.comment("The pod is kept away (it is not bound to any node), so that a replica must take over. The operator promotes one as soon as it finds the primary gone.")
	default:
		k.comment("TODO: The pod is kept away (it is not bound to any node), for longer than the lease on leadership lasts: Patroni's ttl, which could not be read here; its default is 30s.")
	}
	k.text("hold_down", short(lease*3/2))
	s.abort(b, at+".outage_seconds", 2*recovery)
	b.gap()
	b.comment("What must hold for the run to pass. TODO: write what your business can bear; without an objective a value is measured, and not judged.")
	o := b.block("objectives")
	o.comment("Until clients can write again, for good: the lease, the election, the new endpoint.")
	o.text("recovery_time", short(recovery))
	o.gap()
	if s.Sync {
		o.comment("Replication is synchronous here, so that what was acknowledged must survive.")
	} else {
		o.comment("Asynchronous replication can lose what was acknowledged in the last moments, so a run may honestly miss this.")
	}
	o.number("lost_writes", 0)
	o.gap()
	o.comment("Before the fault; what the replicas have not received is lost with the primary.")
	o.text("replication_lag", "1s")
	if len(s.Members) > 1 {
		o.gap()
		o.comment("Somebody must really have taken over: a primary that came back and simply resumed shows nothing.")
		o.raw("failed_over", "true")
	}
}

// serviceOf writes the Service that writing clients use.
func (s *System) serviceOf(t block) {
	if s.Service == "" {
		t.comment("TODO: service = \"…\" names the Service that clients write to. None was found that leads to the primary alone; without it, it is the host in the dsn.")
		return
	}
	t.comment("The Service that clients write to. Its endpoints must follow the primary; that is part of the recovery time.")
	t.text("service", s.Service)
}

// dsn writes what drill connects with.
func (s *System) dsn(t block) {
	t.gap()
	t.comment("What drill connects with, through the Service: from a Secret in the same namespace, read in the cluster and never printed. It makes a schema failoverdrill, and drops it.")
	switch c := s.Secret; {
	case c == nil:
		t.comment("TODO: name a Secret and its key that hold a connection string. None was found, or you may not list Secrets.")
		t.raw("dsn", fmt.Sprintf("secret(%q, %q)", s.Name+"-drill", "uri"))
	case c.URI != "":
		if !strings.Contains(c.Name, "drill") {
			t.comment("TODO: better a role of drill's own, which can read none of the application's tables (docs/targets/postgresql.md).")
		}
		t.raw("dsn", fmt.Sprintf("secret(%q, %q)", c.Name, c.URI))
	default:
		t.comment("TODO: the name of the database. The Secret holds a user and a password only.")
		host := s.Service
		if host == "" {
			host = s.Name
		}
		t.raw("dsn", fmt.Sprintf(`"host=%s.%s.svc port=5432 dbname=postgres user=${secret(%q, %q)} password='${secret(%q, %q)}'"`,
			host, s.Namespace, c.Name, c.User, c.Name, c.Password))
	}
}

func (s *System) deployment(b block) {
	target := name(s.Name)
	const recovery = 30 * time.Second
	b.text("description", fmt.Sprintf("A pod of %s goes. Clients are answered again within %s.", s.Name, short(recovery)))
	b.gap()
	t := b.block("target", kindDeployment, target)
	t.text("namespace", s.Namespace)
	t.text("selector", s.Selector)
	t.gap()
	if s.Service != "" {
		t.comment("The Service that clients use.")
		t.text("service", s.Service)
	} else {
		t.comment("TODO: service = \"…\" names the Service that clients use. None was found that leads to these pods alone, and a run needs one.")
	}
	b.gap()
	s.probe(b, target)
	at, probe := "target."+target, "probe.clients"
	s.steady(b, fmt.Sprintf("%s.ready >= %s.desired && %s.success_ratio >= 0.99", at, at, probe),
		fmt.Sprintf(`"Not steady: ${%s.ready} of ${%s.desired} endpoints are ready, and a share of ${%s.success_ratio} of the requests succeeds."`, at, at, probe))
	b.gap()
	k := b.block("fault", "pod_kill", target)
	k.comment("How many pods go, the oldest first.")
	k.number("count", 1)
	k.gap()
	k.comment("\"graceful\" is a delete with the pod's own grace period, \"force_delete\" kills its processes after about 2 s, \"evict\" asks the PodDisruptionBudget.%s", s.covered())
	k.text("method", "graceful")
	s.abort(b, probe+".outage_seconds", 2*recovery)
	b.gap()
	b.comment("What must hold for the run to pass. TODO: write what your business can bear.")
	o := b.block("objectives")
	o.comment("Until clients are answered for good. With other pods to serve them it should be no outage at all.")
	o.text("recovery_time", short(recovery))
	o.gap()
	o.comment("Until as many endpoints are ready again as are desired, none of them a victim's.")
	o.text("redundancy_time", "5m")
}

func (s *System) covered() string {
	if len(s.Budgets) == 0 {
		return ""
	}
	return " Here it is " + list(s.Budgets) + "."
}

// probe stands for the clients.
func (s *System) probe(b block, target string) {
	host := s.Service
	if host == "" {
		host = target
	}
	host += "." + s.Namespace + ".svc"
	port := s.Address.Port
	b.comment("What stands for the clients: its outage is the recovery time.")
	switch {
	case s.NotYet == "" && s.Address.HTTP:
		p := b.block("probe", "http", "clients")
		path, todo := s.Address.Path, "TODO: the path of something that clients really ask for. This is the page that says whether a pod is ready, which is not what clients see."
		if !strings.HasPrefix(path, "/") {
			path, todo = "/", "TODO: the path of something that clients really ask for."
		}
		p.comment("%s", todo)
		at := fmt.Sprintf(":%d", port)
		if port == 80 {
			at = ""
		}
		p.text("url", "http://"+host+at+path)
		p.number("rate", 20)
	case port == 0:
		p := b.block("probe", "tcp", "clients")
		p.comment("TODO: the address that clients connect to. A probe \"http\" tells more, if they speak HTTP.")
		p.text("address", host+":80")
	default:
		p := b.block("probe", "tcp", "clients")
		p.comment("It only connects. A probe \"http\" tells more, if clients speak HTTP.")
		p.text("address", fmt.Sprintf("%s:%d", host, port))
		p.number("rate", 20)
	}
}

func list(all []string) string {
	all = slices.Clone(all)
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	return strings.Join(all[:len(all)-1], ", ") + " and " + all[len(all)-1]
}

// short writes a duration as people do: 2m, and not 2m0s.
func short(d time.Duration) string {
	text := d.Round(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	return text
}
