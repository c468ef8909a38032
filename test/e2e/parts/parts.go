// Package main chooses which of the end-to-end tests to run, so that they can take turns. Each part takes about the same
// time. Every test that is not in the core is in exactly one part.
package main

import (
	"bufio"
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

//go:embed seconds.txt
var table string

// timed is a test with the seconds that it takes.
type timed struct {
	name    string
	seconds float64
	core    bool
}

const usage = `usage: parts core|all|K/N     print the tests as go test's -run pattern
       parts check < LOG      print the tests whose time is not the table's; LOG is what go test -v printed`

func main() {
	if err := do(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func do(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 1 {
		return errors.New(usage)
	}
	tests, err := parse(table)
	if err != nil {
		return err
	}
	if args[0] == "check" {
		return check(tests, in, out)
	}
	chosen, err := choose(tests, args[0])
	if err != nil {
		return err
	}
	names := make([]string, len(chosen))
	for i, t := range chosen {
		names[i] = t.name
	}
	slices.Sort(names)
	_, err = fmt.Fprintf(out, "^(%s)$\n", strings.Join(names, "|"))
	return err
}

// parse reads the table.
func parse(text string) ([]timed, error) {
	var tests []timed
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) < 2 || len(fields) > 3 || len(fields) == 3 && fields[2] != "core" {
			return nil, fmt.Errorf("seconds.txt: %q is not a test, its seconds, and perhaps \"core\"", strings.TrimSpace(line))
		}
		seconds, err := strconv.ParseFloat(fields[1], 64)
		if err != nil {
			return nil, fmt.Errorf("seconds.txt: the seconds of %s: %w", fields[0], err)
		}
		if slices.ContainsFunc(tests, func(t timed) bool { return t.name == fields[0] }) {
			return nil, fmt.Errorf("seconds.txt: %s is listed twice", fields[0])
		}
		tests = append(tests, timed{name: fields[0], seconds: seconds, core: len(fields) == 3})
	}
	return tests, nil
}

// choose returns the tests of the core, of all, or of part K of N.
func choose(tests []timed, which string) ([]timed, error) {
	switch which {
	case "all":
		return tests, nil
	case "core":
		return slices.DeleteFunc(slices.Clone(tests), func(t timed) bool { return !t.core }), nil
	}
	first, second, _ := strings.Cut(which, "/")
	k, err1 := strconv.Atoi(first)
	n, err2 := strconv.Atoi(second)
	if err1 != nil || err2 != nil || k < 1 || k > n {
		return nil, fmt.Errorf("%q is not core, all, or a part such as 2/3\n%s", which, usage)
	}
	all := split(tests, n)
	if len(all[k-1]) == 0 {
		return nil, fmt.Errorf("part %s has no test: there are fewer tests than parts", which)
	}
	return all[k-1], nil
}

// split deals the tests that are not in the core to n parts: the longest first, each to the part that is shortest then.
func split(tests []timed, n int) [][]timed {
	rest := slices.DeleteFunc(slices.Clone(tests), func(t timed) bool { return t.core })
	slices.SortFunc(rest, func(a, b timed) int {
		return cmp.Or(cmp.Compare(b.seconds, a.seconds), cmp.Compare(a.name, b.name))
	})
	parts := make([][]timed, n)
	for _, t := range rest {
		shortest := 0
		for i := range parts {
			if total(parts[i]) < total(parts[shortest]) {
				shortest = i
			}
		}
		parts[shortest] = append(parts[shortest], t)
	}
	return parts
}

func total(tests []timed) float64 {
	sum := 0.0
	for _, t := range tests {
		sum += t.seconds
	}
	return sum
}

// A test may differ from the table by this share and these seconds before it is printed.
const (
	share = 0.3
	slack = 15
)

var passed = regexp.MustCompile(`^--- PASS: (\w+) \(([0-9.]+)s\)$`)

// check compares what tests took with the table.
func check(tests []timed, in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		found := passed.FindStringSubmatch(lines.Text())
		if found == nil {
			continue
		}
		took, err := strconv.ParseFloat(found[2], 64)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(tests, func(t timed) bool { return t.name == found[1] })
		if i >= 0 && math.Abs(took-tests[i].seconds) > share*tests[i].seconds+slack {
			_, err = fmt.Fprintf(out, "%s took %.0f s; test/e2e/parts/seconds.txt says %.0f s\n", found[1], took, tests[i].seconds)
			if err != nil {
				return err
			}
		}
	}
	return lines.Err()
}
