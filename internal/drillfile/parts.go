package drillfile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/schema"
)

// part is a target, a probe or a fault: a block whose body its kind reads.
type part struct {
	block   *hcl.Block
	kind    *Kind // nil: there is no such kind, which has been reported
	spec    any
	decoded *schema.Decoded

	// Of a fault: what every fault may say.
	after time.Duration // 0 also when it is not known
	meta  *schema.Decoded
}

func (p part) name() string { return p.block.Labels[1] }

// parts are those of one drill.
type parts struct {
	targets, probes, faults []part
	kinds                   map[string]map[string]*Kind // by block type and name, of targets and probes
	vague                   map[string]bool             // block types of which some were left out, with a problem reported
}

// parts reads the targets, probes and faults into d.
func (l *loader) parts(d *drill.Drill, blocks hcl.Blocks, body hcl.Body) *parts {
	p := &parts{kinds: map[string]map[string]*Kind{"target": {}, "probe": {}}, vague: map[string]bool{}}
	p.targets = l.partsOf(p, "target", l.kinds.Targets, blocks, body)
	p.probes = l.partsOf(p, "probe", l.kinds.Probes, blocks, body)
	p.faults = l.partsOf(p, "fault", l.kinds.Faults, blocks, body)
	for _, t := range p.targets {
		d.Targets = append(d.Targets, drill.TargetSpec{Kind: t.block.Labels[0], Name: t.name(), Spec: t.spec})
	}
	for _, x := range p.probes {
		if t := p.kinds["target"][x.name()]; t != nil && t.Probed {
			l.report(x.block.LabelRanges[1], "Duplicate name",
				fmt.Sprintf("The target %q is probed under its own name already. Give this probe another name, such as %q.", x.name(), x.name()+"-"+x.block.Labels[0]))
		}
		d.Probes = append(d.Probes, drill.ProbeSpec{Kind: x.block.Labels[0], Name: x.name(), Spec: x.spec})
	}
	for _, f := range p.faults {
		d.Faults = append(d.Faults, drill.FaultSpec{Kind: f.block.Labels[0], Name: f.name(), After: f.after, Spec: f.spec})
	}
	if len(p.targets) > 1 {
		l.notYet(p.targets[1].block.DefRange, "A drill with more than one target", "Keep one to run the drill, and write another drill for the other.")
	}
	for _, list := range [][]part{p.targets, p.faults} {
		for _, x := range list {
			l.checkPart(x, p, d.Targets)
		}
	}
	l.checkSizes(p)
	return p
}

func (l *loader) partsOf(p *parts, blockType string, kinds []Kind, blocks hcl.Blocks, body hcl.Body) []part {
	var list []part
	seen := names{}
	found := blocks.OfType(blockType)
	p.vague[blockType] = schema.Written(body, blockType) != len(found)
	for _, b := range found {
		l.checkName(blockType, b.Labels[1], b.LabelRanges[1], seen)
		x := l.part(b, kinds)
		if known := p.kinds[blockType]; known != nil {
			if _, taken := known[x.name()]; !taken {
				known[x.name()] = x.kind
			}
		}
		list = append(list, x)
	}
	return list
}

// part finds a block's kind and lets it read the body.
func (l *loader) part(b *hcl.Block, kinds []Kind) part {
	p := part{block: b}
	body := b.Body
	if b.Type == "fault" {
		var said faultSpec
		said, p.meta, body = faultBody().DecodePart(body, l.static)
		p.after = said.After
		l.take(p.meta)
	}
	known := make([]string, 0, len(kinds))
	for i := range kinds {
		if known = append(known, kinds[i].Name); kinds[i].Name == b.Labels[0] {
			p.kind = &kinds[i]
		}
	}
	if p.kind == nil {
		l.report(b.LabelRanges[0], "Unknown kind of "+b.Type,
			fmt.Sprintf("There is no kind of %s named %q.%s", b.Type, b.Labels[0], schema.DidYouMean(b.Labels[0], known)))
		return p
	}
	p.spec, p.decoded = p.kind.Decode(body, l.static)
	if p.meta != nil {
		suggest(p.decoded.Strays, faultBody().Table())
	}
	l.take(p.decoded)
	return p
}

// suggest says that an argument which its kind does not know may be one that stands beside the kind's own.
func suggest(strays []schema.Stray, table schema.Table) {
	names, _ := table.Names()
	for _, s := range strays {
		if best := schema.Nearest(s.Name, names); best != "" && s.Meant == "" && !s.Block {
			detail, _, _ := strings.Cut(s.Diagnostic.Detail, " Known are: ")
			s.Diagnostic.Detail = fmt.Sprintf("%s Did you mean %q?", detail, best)
		}
	}
}

// checkPart asks a block's kind what is wrong with it among the drill's targets, once all of that is known.
func (l *loader) checkPart(x part, p *parts, targets []drill.TargetSpec) {
	if x.kind == nil || x.kind.Check == nil || !x.decoded.Sound("target") || p.vague["target"] || len(targets) == 0 {
		return
	}
	for _, t := range p.targets {
		if t.kind == nil {
			return
		}
	}
	if sentence := x.kind.Check(x.spec, x.name(), targets); sentence != "" {
		l.report(x.block.LabelRanges[1], "Unsuitable "+x.block.Type, sentence)
	}
}

// guard reads what the drill may not touch, and holds its targets and faults to the namespaces.
func (l *loader) guard(b *hcl.Block, p *parts) drill.Guard {
	guard, d := guardBody().Decode(b.Body, l.static)
	l.take(d)
	if len(guard.Namespaces) == 0 || !d.Sound("namespaces") {
		return guard
	}
	for _, x := range slices.Concat(p.targets, p.faults) {
		if x.kind == nil || x.kind.Namespaces == nil {
			continue
		}
		for _, ns := range x.kind.Namespaces(x.spec) {
			if ns == "" || slices.Contains(guard.Namespaces, ns) {
				continue
			}
			l.report(l.namespaceAt(x, ns), "Namespace not allowed", fmt.Sprintf(
				"The guard of this drill, on line %d, allows %s alone, and this %s is in %q. Add %q to the guard's namespaces if it may be touched.",
				d.At("namespaces").Start.Line, quoted(guard.Namespaces), x.block.Type, ns, ns))
		}
	}
	return guard
}

// namespaceAt is where a block says that it is in a namespace: an argument, or a part of one, else the block's name.
func (l *loader) namespaceAt(x part, ns string) hcl.Range {
	at := x.block.LabelRanges[1]
	body, ok := x.block.Body.(*hclsyntax.Body)
	if !ok {
		return at
	}
	is := func(expr hclsyntax.Expression) bool {
		v, diags := expr.Value(l.static)
		v, _ = v.Unmark()
		return !diags.HasErrors() && isText(v) && v.AsString() == ns
	}
	if a := body.Attributes["namespace"]; a != nil && is(a.Expr) {
		return a.Expr.Range()
	}
	found := false
	_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics { // in any order: the first in the file counts
		if object, ok := n.(*hclsyntax.ObjectConsExpr); ok {
			for _, item := range object.Items {
				if hcl.ExprAsKeyword(item.KeyExpr) != "namespace" || !is(item.ValueExpr) {
					continue
				}
				if r := item.ValueExpr.Range(); !found || r.Start.Byte < at.Start.Byte {
					at, found = r, true
				}
			}
		}
		return nil
	})
	return at
}

// quoted lists texts in quotes.
func quoted(all []string) string {
	texts := make([]string, 0, len(all))
	for _, s := range all {
		texts = append(texts, strconv.Quote(s))
	}
	return list(texts)
}
