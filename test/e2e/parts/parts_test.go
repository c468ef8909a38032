package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// declared are the tests that test/e2e has.
func declared(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../*_test.go")
	require.NoError(t, err)
	var names []string
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		require.NoError(t, err)
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") && f.Name.Name != "TestMain" {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}

func pattern(t *testing.T, which string) *regexp.Regexp {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, do([]string{which}, nil, &out))
	return regexp.MustCompile(strings.TrimSpace(out.String()))
}

// TestEveryTestIsInExactlyOnePart: a test that is not in the table would never run.
func TestEveryTestIsInExactlyOnePart(t *testing.T) {
	tests, err := parse(table)
	require.NoError(t, err)
	listed := make([]string, len(tests))
	for i, one := range tests {
		listed[i] = one.name
	}
	all := declared(t)
	require.Greater(t, len(all), 20)
	require.ElementsMatch(t, all, listed, "list each test of test/e2e with its seconds in test/e2e/parts/seconds.txt")

	for _, name := range all {
		require.True(t, pattern(t, "all").MatchString(name))
	}
	for n := 1; n <= 8; n++ {
		parts := []*regexp.Regexp{pattern(t, "core")}
		for k := 1; k <= n; k++ {
			parts = append(parts, pattern(t, fmt.Sprintf("%d/%d", k, n)))
		}
		for _, name := range all {
			in := 0
			for _, p := range parts {
				if p.MatchString(name) {
					in++
				}
			}
			require.Equal(t, 1, in, "%s, %d parts", name, n)
		}
	}
	for _, name := range []string{"TestKillPrimary", "TestPodKillOne"} {
		require.True(t, pattern(t, "core").MatchString(name), "%s always runs", name)
	}
}

func TestPartsTakeAboutTheSameTime(t *testing.T) {
	tests, err := parse(table)
	require.NoError(t, err)
	longest := slices.MaxFunc(tests, func(a, b timed) int { return int(a.seconds - b.seconds) }).seconds
	for n := 2; n <= 4; n++ {
		var sums []float64
		for _, part := range split(tests, n) {
			sums = append(sums, total(part))
		}
		t.Logf("%d parts: %v s", n, sums)
		mean := 0.0
		for _, sum := range sums {
			mean += sum / float64(n)
		}
		require.LessOrEqual(t, slices.Max(sums), max(longest, 1.15*mean))
	}
	parts := split([]timed{{"A", 5, false}, {"B", 4, false}, {"C", 3, false}, {"D", 3, false}, {"E", 9, true}}, 2)
	require.Equal(t, [][]timed{{{"A", 5, false}, {"D", 3, false}}, {{"B", 4, false}, {"C", 3, false}}}, parts)
}

func TestWhatIsNoPartIsRefused(t *testing.T) {
	for _, which := range []string{"", "0/3", "4/3", "1", "1/0", "-1/3", "a/b", "99/99"} {
		require.Error(t, do([]string{which}, nil, new(bytes.Buffer)), which)
	}
	require.Error(t, do(nil, nil, new(bytes.Buffer)))
	for _, text := range []string{"TestA", "TestA x", "TestA 1 cor", "TestA 1\nTestA 2"} {
		_, err := parse(text)
		require.Error(t, err, text)
	}
}

func TestATimeThatIsOffIsPrinted(t *testing.T) {
	var out bytes.Buffer
	log := `=== RUN   TestA
--- PASS: TestA (44.00s)
--- PASS: TestB (46.01s)
    --- PASS: TestB/one (900.00s)
--- FAIL: TestC (900.00s)
--- PASS: TestUnlisted (900.00s)
PASS
`
	tests := []timed{{"TestA", 23, false}, {"TestB", 23, true}, {"TestC", 1, false}}
	require.NoError(t, check(tests, strings.NewReader(log), &out))
	require.Equal(t, "TestB took 46 s; test/e2e/parts/seconds.txt says 23 s\n", out.String())
}
