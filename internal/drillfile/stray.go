package drillfile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/failoverdrill/drill/internal/schema"
)

// explain adds to a problem with a name that has no place where it stands which block it belongs to.
func (l *loader) explain(s schema.Stray) {
	if s.Meant == s.Name {
		return // a block written as an argument, or the other way round
	}
	if l.homes == nil {
		l.homes = homesOf(l.kinds)
	}
	homes := l.homes[home{s.Name, s.Block}]
	if len(homes) == 0 {
		return
	}
	// A name of the language is hardly a misspelt one, unless it is the beginning of another.
	if !strings.HasPrefix(s.Meant, s.Name) {
		s.Diagnostic.Detail, _, _ = strings.Cut(s.Diagnostic.Detail, " Did you mean ")
	}
	s.Diagnostic.Detail, _, _ = strings.Cut(s.Diagnostic.Detail, " Known are: ")
	if len(homes) > 3 {
		homes = append(slices.Clone(homes[:3]), "others")
	}
	s.Diagnostic.Detail += fmt.Sprintf(" %s belongs to %s.", s.Name, alternatives(homes))
}

// home is an argument or a block of the language.
type home struct {
	name  string
	block bool
}

// homesOf lists, for every argument and block, the blocks that it belongs to.
func homesOf(kinds Kinds) map[home][]string {
	homes := map[home][]string{}
	add := func(name string, block bool, where string) {
		if h := (home{name, block}); !slices.Contains(homes[h], where) {
			homes[h] = append(homes[h], where)
		}
	}
	var walk func(t schema.Table, where string)
	walk = func(t schema.Table, where string) {
		for _, a := range t.Arguments {
			add(a.Name, false, where)
		}
		for _, b := range t.Blocks {
			add(b.Type, true, where)
			walk(b.Body, "the block "+b.Type)
		}
	}
	walk(rootBody().Table(), "the top of the file")
	for _, table := range []struct {
		block string
		kinds []Kind
	}{{"target", kinds.Targets}, {"probe", kinds.Probes}, {"fault", kinds.Faults}} {
		for _, k := range table.kinds {
			walk(k.Table, fmt.Sprintf("the block %s %q", table.block, k.Name))
		}
	}
	return homes
}

// alternatives joins things of which one is meant.
func alternatives(all []string) string {
	if len(all) == 1 {
		return all[0]
	}
	return strings.Join(all[:len(all)-1], ", ") + " or " + all[len(all)-1]
}
