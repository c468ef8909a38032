package drillfile_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/drillfile"
)

func TestFormat(t *testing.T) {
	for name, tc := range map[string]struct{ src, want string }{
		"spaces":          {"a{\n\tb=1\n   long   =  2 # x\n}\n", "a {\n  b    = 1\n  long = 2 # x\n}\n"},
		"formatted":       {"a {\n  b = 1\n}\n", "a {\n  b = 1\n}\n"},
		"line endings":    {"a {\r\nb=1 # x\r\ncc=<<-EOT\r\n  y\r\n  EOT\r\n}\r\n", "a {\r\n  b  = 1 # x\r\n  cc = <<-EOT\r\n  y\r\n  EOT\r\n}\r\n"},
		"byte order mark": {"\uFEFFa=1\n", "a = 1\n"},
		"no last newline": {"a=1", "a = 1"},
		"empty":           {"", ""},
		"comments":        {"# only\n// comments\n/* here */\n", "# only\n// comments\n/* here */\n"},
		"wide characters": {"a = \"日本\" # x\nbb = \"ab\" # y\n", "a  = \"日本\" # x\nbb = \"ab\" # y\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, diags := drillfile.Format("x.hcl", []byte(tc.src))
			require.Empty(t, diags)
			assert.Equal(t, tc.want, string(got))
		})
	}
	for name, src := range map[string]string{"no HCL": "a {\n", "NUL": "a\x00", "too deep": "a = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "not UTF-8": "# \xff\n"} {
		got, _, diags := drillfile.Format("x.hcl", []byte(src))
		assert.True(t, diags.HasErrors(), name)
		assert.Nil(t, got, name)
	}
}

// FuzzFmt: formatting changes nothing but spaces, a second time it changes nothing, and the file means what it meant.
func FuzzFmt(f *testing.F) {
	for _, pattern := range []string{"testdata/valid/*.hcl", shared + "/valid/*.hcl", shared + "/errors/*.hcl", "../../drills/*.hcl"} {
		for _, path := range files(f, pattern) {
			f.Add(read(f, filepath.Clean(path)))
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		once, _, diags := drillfile.Format("x.hcl", src)
		if diags.HasErrors() {
			for _, d := range diags {
				if d.Summary == "Formatting failed" {
					t.Fatalf("%q: %s", src, d.Detail)
				}
			}
			return
		}
		twice, _, diags := drillfile.Format("x.hcl", once)
		if diags.HasErrors() || string(once) != string(twice) {
			t.Fatalf("%q, and then %q; %v", once, twice, diags)
		}
		before, was := drillfile.Load("x.hcl", src, kinds(), drillfile.Inputs{})
		after, is := drillfile.Load("x.hcl", once, kinds(), drillfile.Inputs{})
		if was.HasErrors() {
			return // such as a byte order mark, which formatting mends
		}
		if is.HasErrors() {
			t.Fatal(is)
		}
		expressions := cmpopts.IgnoreFields(drill.Rule{}, "Condition")
		for i, d := range before.Drills {
			if diff := cmp.Diff(withoutPlaces(d), withoutPlaces(after.Drills[i]), expressions); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

// withoutPlaces drops what says where in the file something is.
func withoutPlaces(d *drill.Drill) drill.Drill {
	copied := *d
	copied.Unavailable = slices.Clone(d.Unavailable)
	for i := range copied.Unavailable {
		copied.Unavailable[i].Line = 0
	}
	return copied
}
