package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/schema"
)

func kindsCommand(env *Env) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "kinds [target|probe|fault] [KIND]",
		Short: "What a drill can test, watch and break, and how it is written",
		Long: `List the kinds of target, probe and fault that a drill file may name; or, of one kind: its arguments, the live values
that conditions may use, the rights in the cluster that the runner needs for it, and an example. All of it comes from
the tables with which drill files are read. No cluster is asked.`,
		Example: "  drill kinds\n  drill kinds kill_primary\n  drill kinds probe\n  drill kinds probe http --output json",
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			rows, whole, err := chooseKinds(kindRows(), args)
			switch {
			case err != nil:
				return err
			case output == outputJSON:
				return showKindsJSON(env, rows)
			case whole:
				showKindList(env.Stdout, rows)
			default:
				showKinds(env.Stdout, rows)
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return completeKinds(kindRows(), args), cobra.ShellCompDirectiveNoFileComp
		},
	}
	c.Args = func(_ *cobra.Command, args []string) error {
		if len(args) > 2 {
			return withCode(exitUsage, "%s takes the name of a kind, and a type of block before it where that is needed; got %d arguments", c.CommandPath(), len(args))
		}
		return nil
	}
	outputFlag(c, &output)
	return c
}

// chooseKinds finds what the arguments ask for: everything, a type of block, a kind, or a kind of a type of block. A name
// alone means every kind of that name. A list of all kinds, or of a block's, is whole.
func chooseKinds(rows []kindRow, args []string) (found []kindRow, whole bool, err error) {
	if len(args) == 0 {
		return rows, true, nil
	}
	block, name := "", args[len(args)-1]
	if len(args) > 1 {
		if block = args[0]; !slices.Contains(kindBlocks, block) {
			return nil, false, withCode(exitUsage, "there are no kinds of %q.%s", block, schema.DidYouMean(block, kindBlocks))
		}
	} else if slices.Contains(kindBlocks, name) {
		return ofBlock(rows, name), true, nil
	}
	var names []string
	for _, r := range ofBlock(rows, block) {
		names = append(names, r.Name)
		if r.Name == name {
			found = append(found, r)
		}
	}
	if found == nil {
		what := "kind"
		if block != "" {
			what = "kind of " + block
		}
		slices.Sort(names)
		return nil, false, withCode(exitUsage, "there is no %s named %q.%s", what, name, schema.DidYouMean(name, slices.Compact(names)))
	}
	return found, false, nil
}

// ofBlock are the kinds of a type of block, or all where it is empty.
func ofBlock(rows []kindRow, block string) []kindRow {
	return slices.DeleteFunc(slices.Clone(rows), func(r kindRow) bool { return block != "" && r.Block != block })
}

// completeKinds are the words that may come next, with what they mean.
func completeKinds(rows []kindRow, args []string) []string {
	var all []string
	switch {
	case len(args) > 1 || len(args) == 1 && !slices.Contains(kindBlocks, args[0]):
		return nil
	case len(args) == 1:
		rows = ofBlock(rows, args[0])
	default:
		for _, b := range kindBlocks {
			all = append(all, b+"\tall kinds of "+b)
		}
	}
	for _, r := range rows {
		all = append(all, fmt.Sprintf("%s\t%s: %s", r.Name, r.Block, r.Doc))
	}
	return all
}

// kindsJSON is the answer for programs.
type kindsJSON struct {
	FormatVersion string     `json:"format_version"`
	Kinds         []kindJSON `json:"kinds"`
}

type kindJSON struct {
	Block       string             `json:"block"`
	Name        string             `json:"name"`
	Doc         string             `json:"doc"`
	Arguments   []argumentJSON     `json:"arguments"`
	Attributes  []attributeJSON    `json:"live_values"`
	Permissions []drill.Permission `json:"permissions"`
	Example     string             `json:"example"`
}

type argumentJSON struct {
	Name      string         `json:"name"`
	Type      string         `json:"type"`
	Doc       string         `json:"doc"`
	Required  bool           `json:"required"`
	Default   string         `json:"default,omitempty"` // as it would be written, or in words
	Sensitive bool           `json:"sensitive"`
	Values    []string       `json:"values,omitempty"`
	Later     []string       `json:"not_available_yet,omitempty"`
	Least     string         `json:"least,omitempty"`
	Most      string         `json:"most,omitempty"`
	Fields    []argumentJSON `json:"fields,omitempty"`
}

type attributeJSON struct {
	Name  string   `json:"name"`
	Type  string   `json:"type"`
	Doc   string   `json:"doc"`
	Least *float64 `json:"least,omitempty"`
	Most  *float64 `json:"most,omitempty"`
}

func showKindsJSON(env *Env, rows []kindRow) error {
	out := kindsJSON{FormatVersion: "1.0"}
	for _, r := range rows {
		k := kindJSON{Block: r.Block, Name: r.Name, Doc: r.Doc, Arguments: argumentsJSON(r.Table.Arguments), Attributes: []attributeJSON{},
			Permissions: append([]drill.Permission{}, r.Permissions()...), Example: r.Example}
		for _, a := range r.Attributes {
			k.Attributes = append(k.Attributes, attributeJSON{Name: a.Name, Type: a.Type.FriendlyName(), Doc: a.Doc, Least: a.Least, Most: a.Most})
		}
		out.Kinds = append(out.Kinds, k)
	}
	e := json.NewEncoder(env.Stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(out); err != nil {
		return fmt.Errorf("write the kinds: %w", err)
	}
	return nil
}

func argumentsJSON(arguments []schema.Argument) []argumentJSON {
	all := make([]argumentJSON, 0, len(arguments))
	for _, a := range arguments {
		j := argumentJSON{Name: a.Name, Type: a.Type, Doc: a.Doc, Required: a.Required, Default: a.Default, Sensitive: a.Sensitive,
			Values: a.Values, Later: a.Later, Least: a.Least, Most: a.Most}
		if len(a.Fields) > 0 {
			j.Fields = argumentsJSON(a.Fields)
		}
		all = append(all, j)
	}
	return all
}

// rights joins the verbs that a permission's resource needs.
type right struct {
	verbs    []string
	resource string // with its group
	where    string
}

func rightsOf(permissions []drill.Permission) []right {
	var all []right
	for _, p := range permissions {
		r := right{resource: strings.TrimSpace(p.Resource + " " + p.Name), where: "in " + p.Namespace}
		if p.Group != "" {
			r.resource += "." + p.Group
		}
		if p.Namespace == "" {
			r.where = "in the cluster"
		}
		i := slices.IndexFunc(all, func(o right) bool { return o.resource == r.resource && o.where == r.where })
		if i < 0 {
			i, all = len(all), append(all, r)
		}
		all[i].verbs = append(all[i].verbs, p.Verb)
	}
	return all
}

func (r right) String() string {
	return fmt.Sprintf("%s %s %s", strings.Join(r.verbs, ", "), r.resource, r.where)
}
