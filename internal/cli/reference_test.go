package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/zclconf/go-cty/cty"

	"github.com/failoverdrill/drill/internal/drillfile"
	"github.com/failoverdrill/drill/internal/schema"
)

// generatedPart is what the pages in docs/ take from the tables: everything between two marks. What is around it is
// written by hand.
var generatedPart = regexp.MustCompile(`(?s)<!-- generated: ([a-z_ ]+) -->\n(.*?)<!-- end -->`)

// TestReference holds the pages to the tables with which drill files are read. `make reference` writes them anew.
func TestReference(t *testing.T) {
	parts := generated()
	var used []string
	pages, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	more, err := filepath.Glob("../../docs/*/*.md")
	require.NoError(t, err)
	for _, page := range append(pages, more...) {
		src, err := os.ReadFile(page)
		require.NoError(t, err)
		fresh := generatedPart.ReplaceAllStringFunc(string(src), func(part string) string {
			name := generatedPart.FindStringSubmatch(part)[1]
			text, ok := parts[name]
			require.True(t, ok, "%s asks for a part called %q, which nothing makes", page, name)
			used = append(used, name)
			return "<!-- generated: " + name + " -->\n" + text + "<!-- end -->"
		})
		if *update && fresh != string(src) {
			require.NoError(t, os.WriteFile(page, []byte(fresh), 0o644))
			continue
		}
		if fresh != string(src) { // a page is too long to be printed twice
			t.Errorf("%s is not what the tables say. Run make reference, and look at what it changes", page)
		}
	}
	for name := range parts {
		mustHold(t, strings.Join(used, "\n"), name, "a page in docs/ must show <!-- generated: %s -->", name)
	}
}

// generated are the parts of pages, by name.
func generated() map[string]string {
	parts := map[string]string{"kinds": kindSections(kindRows()), "functions": functionSections(), "blocks": blockSections("", drillfile.Language()),
		"live values": attributeTable("run.", drillfile.RunAttributes())}
	for _, k := range kindRows() {
		parts[k.Block+" "+k.Name] = argumentTable(k.Table.Arguments)
	}
	return parts
}

// blockSections are blocks and those within them.
func blockSections(within string, blocks []schema.Nested) string {
	var b strings.Builder
	for _, n := range blocks {
		path := "`" + strings.TrimSuffix(n.Header(), " { … }") + "`"
		if within != "" {
			path += " in `" + within + "`"
		}
		fmt.Fprintf(&b, "### %s\n\n%s %s", path, n.Doc, howMany(n))
		if _, inner := n.Body.Names(); len(inner) > 0 {
			fmt.Fprintf(&b, " It holds blocks: `%s`.", strings.Join(inner, "`, `"))
		}
		b.WriteString("\n\n")
		if len(n.Body.Arguments) > 0 {
			b.WriteString(argumentTable(n.Body.Arguments) + "\n")
		}
		b.WriteString(blockSections(n.Type, n.Body.Blocks))
	}
	return b.String()
}

func howMany(n schema.Nested) string {
	switch {
	case n.Required && n.Many:
		return "At least one is needed."
	case n.Required:
		return "It is needed."
	case n.Many:
		return "Any number."
	default:
		return "At most one."
	}
}

func functionSections() string {
	var b strings.Builder
	group := ""
	for _, f := range drillfile.Functions() {
		if f.Group != group {
			group = f.Group
			fmt.Fprintf(&b, "\n**%s**\n\n| function | gives |\n|---|---|\n", group)
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", f.Signature, cell(f.Doc))
	}
	return strings.TrimPrefix(b.String(), "\n")
}

// kindSections are all kinds, by type of block.
func kindSections(rows []kindRow) string {
	var b strings.Builder
	for _, k := range rows {
		fmt.Fprintf(&b, "### %s `%s`\n\n%s [More](%s).\n\n```hcl\n%s```\n\n%s", k.Block, k.Name, k.Doc,
			strings.TrimPrefix(k.page(), "docs/"), k.Example, argumentTable(k.Table.Arguments))
		if len(k.Attributes) > 0 {
			b.WriteString("\n" + attributeTable(k.Block+".<name>.", k.Attributes))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func argumentTable(arguments []schema.Argument) string {
	return "| argument | type | default | meaning |\n|---|---|---|---|\n" + argumentLines("", arguments)
}

func argumentLines(parent string, arguments []schema.Argument) string {
	var b strings.Builder
	for i, a := range arguments {
		otherwise := a.Default
		switch value := byDefault(a.Default) == "default "+a.Default; {
		case a.Required:
			otherwise = "required"
		case a.Default == "":
			otherwise = "none"
		case value && !strings.ContainsAny(a.Default, " `"):
			otherwise = "`" + a.Default + "`"
		}
		meaning := []string{a.Doc}
		add := func(ok bool, format string, args ...any) {
			if ok {
				meaning = append(meaning, fmt.Sprintf(format, args...))
			}
		}
		like := sameFields(arguments[:i], a)
		add(len(a.Values) > 0, "One of %s.", inCode(a.Values))
		add(len(a.Later) > 0, "Not available yet: %s.", inCode(a.Later))
		add(a.Sensitive, "It may hold a secret.")
		add(like != "", "Its fields are those of `%s`.", like)
		typ := a.Type
		if within := bounds(a); within != "" {
			typ += ", " + within
		}
		fmt.Fprintf(&b, "| `%s%s` | %s | %s | %s |\n", parent, a.Name, typ, cell(otherwise), cell(strings.Join(meaning, " ")))
		if like == "" {
			b.WriteString(argumentLines(parent+a.Name+".", a.Fields))
		}
	}
	return b.String()
}

func attributeTable(prefix string, attributes []schema.Attribute) string {
	var b strings.Builder
	b.WriteString("| live value | type | meaning |\n|---|---|---|\n")
	for _, a := range attributes {
		what := "number"
		if a.Type == cty.Bool {
			what = "true or false"
		}
		fmt.Fprintf(&b, "| `%s%s` | %s | %s |\n", prefix, a.Name, what, cell(a.Doc+ofAttribute(a)))
	}
	return b.String()
}

// inCode lists words as a drill file has them.
func inCode(words []string) string {
	all := make([]string, 0, len(words))
	for _, word := range words {
		all = append(all, fmt.Sprintf("`%q`", word))
	}
	return strings.Join(all, ", ")
}

// cell is a text in a table, where a bar would end it.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// TestExamplesLoad: what people copy is right and formatted, and the kinds of a block have different names.
func TestExamplesLoad(t *testing.T) {
	rows := kindRows()
	for i, k := range rows {
		t.Run(k.Block+" "+k.Name, func(t *testing.T) {
			_, diags := k.load()
			require.Empty(t, diags)
			require.Equal(t, string(hclwrite.Format([]byte(k.Example))), k.Example)
			require.True(t, strings.HasPrefix(k.Example, fmt.Sprintf("%s %q %q {\n", k.Block, k.Name, exampleName(k.Example))))
			require.True(t, strings.HasSuffix(k.Doc, "."), "a sentence")
			require.False(t, slices.ContainsFunc(rows[:i], func(o kindRow) bool { return o.Block == k.Block && o.Name == k.Name }))
			for _, a := range k.Table.Arguments {
				require.NotEmpty(t, a.Doc, a.Name)
			}
			for _, a := range k.Attributes {
				require.NotEmpty(t, a.Doc, a.Name)
			}
		})
	}
}

// TestTheLanguageIsExplained: every block and every argument says what it means, in sentences.
func TestTheLanguageIsExplained(t *testing.T) {
	var walk func(path string, blocks []schema.Nested)
	walk = func(path string, blocks []schema.Nested) {
		for _, b := range blocks {
			assert.True(t, strings.HasSuffix(b.Doc, "."), "%s%s: %q", path, b.Type, b.Doc)
			for _, a := range b.Body.Arguments {
				assert.True(t, strings.HasSuffix(a.Doc, "."), "%s%s.%s: %q", path, b.Type, a.Name, a.Doc)
			}
			walk(path+b.Type+".", b.Body.Blocks)
		}
	}
	walk("", drillfile.Language())
	for _, f := range drillfile.Functions() {
		assert.True(t, strings.HasSuffix(f.Doc, ".") && strings.HasPrefix(f.Signature, f.Name+"("), f.Name)
	}
}

// TestPagesLoad: every whole drill file that a page shows is valid, and formatted.
func TestPagesLoad(t *testing.T) {
	file := regexp.MustCompile("(?ms)^```hcl\n((?:drill|variable|locals) .*?)^```")
	pages, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	more, err := filepath.Glob("../../docs/*/*.md")
	require.NoError(t, err)
	found := 0
	for _, page := range append(append(pages, "../../README.md"), more...) {
		src, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range file.FindAllStringSubmatch(string(src), -1) {
			if !strings.Contains(m[1], "\ndrill ") && !strings.HasPrefix(m[1], "drill ") || strings.Contains(m[1], "…") {
				continue // a part of a file
			}
			found++
			_, diags := drillfile.Load(page, []byte(m[1]), fileKinds(), drillfile.Inputs{Partial: true})
			assert.Empty(t, diags, page)
			assert.Equal(t, string(hclwrite.Format([]byte(m[1]))), m[1], page)
		}
	}
	assert.GreaterOrEqual(t, found, 3)
}
