package drillfile_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drillfile"
)

// TestWhatIsLongIsShortened: a problem stays readable, and points to its place, however long the line, the name and the
// block are that it is about.
func TestWhatIsLongIsShortened(t *testing.T) {
	long := strings.Repeat("n", 100_000)
	for name, src := range map[string]string{
		"a name":            `drill "` + long + `" {}`,
		"a place in a line": `drill "a" { description = "` + long + `"` + "\n" + `x = "` + long + `${nowhere}` + long + `" }`,
		"an argument":       "drill \"a\" {\n  " + long + " = 1\n}\n",
		"a block":           "drill \"a\" {\n" + strings.Repeat("  description = 1\n", 5000) + "}\ndrill \"a\" \"b\" {\n" + strings.Repeat("\n", 5000) + "}\n",
		"a type":            long + " {}\n",
		"a reference":       "drill \"a\" {\n description = " + long + "\n}\n",
	} {
		t.Run(name, func(t *testing.T) {
			file, diags := drillfile.Load("x.hcl", []byte(src), kinds(), drillfile.Inputs{})
			require.True(t, diags.HasErrors())
			for _, color := range []bool{false, true} {
				var b bytes.Buffer
				require.NoError(t, drillfile.Render(&b, file.Files, diags, 78, color))
				for line := range strings.SplitSeq(b.String(), "\n") {
					require.Less(t, len(line), 1100)
				}
				require.Less(t, b.Len(), 60_000)
				if !color {
					require.Contains(t, b.String(), "^")
				}
			}
		})
	}
}

// TestALongLineIsAWindow: the place is in the middle of what is shown, with its own line number and carets under it.
func TestALongLineIsAWindow(t *testing.T) {
	src := "drill \"a\" {\n  description = \"" + strings.Repeat("b", 500) + "${nowhere} " + strings.Repeat("c", 500) + "\"\n}\n"
	file, diags := drillfile.Load("x.hcl", []byte(src), kinds(), drillfile.Inputs{})
	var b bytes.Buffer
	require.NoError(t, drillfile.Render(&b, file.Files, diags, 0, false))
	require.Contains(t, b.String(), "  on x.hcl line 2, in drill \"a\":\n"+
		"   2: …"+strings.Repeat("b", 78)+"${nowhere} "+strings.Repeat("c", 78)+"…\n"+
		"      "+strings.Repeat(" ", 81)+"^^^^^^^\n")
}

// TestManySmallBlocksAreNoLongExpression: what is bounded is how much stands behind one equals sign, and not how much
// stands without any.
func TestManySmallBlocksAreNoLongExpression(t *testing.T) {
	src := strings.Repeat("# A comment.\n", 3000) + strings.Repeat("nothing \"a\" {}\n", 1000)
	_, diags := drillfile.Load("x.hcl", []byte(src), kinds(), drillfile.Inputs{})
	require.NotContains(t, diags.Error(), "Expression too long")
	_, diags = drillfile.Load("x.hcl", []byte("x = 1"+strings.Repeat(" + 1", 2000)), kinds(), drillfile.Inputs{})
	require.ErrorContains(t, diags, "Expression too long")
	_, diags = drillfile.Load("x.hcl", []byte("x = (1"+strings.Repeat(" +\n1", 2000)), kinds(), drillfile.Inputs{})
	require.ErrorContains(t, diags, "Expression too long")
}

// TestDirectionsAreRefused: text whose order on the screen is not its order in the file can hide what a drill does.
func TestDirectionsAreRefused(t *testing.T) {
	for _, r := range []rune{'\u202A', '\u202E', '\u2066', '\u2069'} {
		_, diags := drillfile.Load("x.hcl", []byte("# "+string(r)), kinds(), drillfile.Inputs{})
		require.ErrorContains(t, diags, "Control character")
	}
	_, diags := drillfile.Load("x.hcl", []byte("# שלום مرحبا 👩‍💻\n"), kinds(), drillfile.Inputs{})
	require.ErrorContains(t, diags, "Missing drill block")
}

// TestTooManyWords: the parser takes a hundred times the memory of what it is given, so that is bounded by its number.
func TestTooManyWords(t *testing.T) {
	for _, text := range []string{"\n", "[", ".b"} {
		_, diags := drillfile.Load("x.hcl", []byte(strings.Repeat(text, 1<<20/len(text))), kinds(), drillfile.Inputs{})
		require.ErrorContains(t, diags, "File too large", text)
	}
	_, diags := drillfile.Load("x.hcl", []byte(strings.Repeat("# An ordinary comment, as people write them.\n", 20_000)), kinds(), drillfile.Inputs{})
	require.ErrorContains(t, diags, "Missing drill block")
}

// TestSmallFilesHaveTheSameLimits: a small file is parsed before its tokens are looked at, and a large one after. Both are
// told the same.
func TestSmallFilesHaveTheSameLimits(t *testing.T) {
	padding := "\n" + strings.Repeat("# . . . . . . . . . .\n", 300)
	for _, nest := range [][3]string{
		{"[", "1", "]"}, {"(", "1", ")"}, {"{ a = ", "1", "}"}, {`"${`, "1", `}"`}, {`"x${`, "1", `}y"`}, {"min(", "1", ")"}, {"-", "1", ""}, {"!", "true", ""},
		{"[for x in ", "[1]", " : x]"}, {`"%{ if true }`, "a", `%{ endif }"`}, {"a[", "0", "]"}, {"1 + (", "1", ")"}, {"true ? [", "1", "] : []"}, {"a {\n", "", "}\n"}, {"{ (", "a", ") = 1 }"},
	} {
		for depth := 1; depth < 45; depth++ {
			src := strings.Repeat(nest[0], depth) + nest[1] + strings.Repeat(nest[2], depth)
			if !strings.HasPrefix(nest[0], "a {") {
				src = "drill \"a\" {\n  description = " + src + "\n}\n"
			}
			summaries := func(src string) (all []string) {
				_, diags := drillfile.Load("x.hcl", []byte(src), kinds(), drillfile.Inputs{})
				for _, d := range diags {
					all = append(all, d.Summary)
				}
				return all
			}
			require.Equal(t, summaries(src+padding), summaries(src), "%s %d times", nest[0], depth)
		}
	}
}
