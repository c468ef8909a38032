package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drillfile"
	"github.com/failoverdrill/drill/internal/starter"
)

// TestStartersAreValid: whatever was found, the file that is written is valid and free of warnings.
func TestStartersAreValid(t *testing.T) {
	members := []string{"a-0", "a-1"}
	for name, s := range map[string]starter.System{
		"nothing but pods":     {Kind: "postgresql", Preset: "patroni", Name: "7.db", Namespace: "shop", Selector: "a=b", Members: members},
		"everything":           {Kind: "postgresql", Preset: "zalando", Name: "db", Namespace: "shop", Selector: "a=b", Members: members, Service: "db", Read: "db-repl", TTL: 25 * time.Second, Sync: true, Secret: &starter.Secret{Name: "db-drill", URI: "uri"}},
		"a user and password":  {Kind: "postgresql", Preset: "crunchy", Name: "db", Namespace: "shop", Selector: "a in (b,c)", Members: members, Secret: &starter.Secret{Name: "x.y.z", User: "username", Password: "password"}},
		"a Deployment":         {Kind: "deployment", Name: "web", Namespace: "shop", Selector: "app=web", Members: members, Service: "web", Address: starter.Address{Port: 8080, HTTP: true}},
		"a Deployment alone":   {Kind: "deployment", Name: "web", Namespace: "shop", Selector: "app=web", Members: members[:1]},
		"a kind of the future": {Kind: "deployment", NotYet: "MySQL", Name: "db", Namespace: "shop", Selector: "app=db", Members: members, Service: "db", Address: starter.Address{Port: 3306}, Budgets: []string{"db (maxUnavailable 1)"}, Unread: []string{"nodes"}},
	} {
		t.Run(name, func(t *testing.T) {
			src := s.Write(s.DrillName())
			file, diags := drillfile.Load("x.hcl", src, fileKinds(), drillfile.Inputs{})
			require.Empty(t, diags, "%s\n%s", diags, src)
			require.Len(t, file.Drills, 1)
			require.Equal(t, s.DrillName(), file.Drills[0].Name)
		})
	}
}

// TestInitSpoilsNothing: before a cluster is asked, it is clear that the file can be written.
func TestInitSpoilsNothing(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	require.NoError(t, os.WriteFile("mine.hcl", []byte("# mine\n"), 0o600))
	nowhere := []string{"--kubeconfig", filepath.Join(dir, "none")}
	for name, tc := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no namespace":         {[]string{"init"}, 2, "--namespace shop"},
		"two names":            {[]string{"init", "a", "b", "-n", "shop"}, 2, "at most one name"},
		"no name":              {[]string{"init", "7/x", "-n", "shop"}, 2, "cannot be the name of a drill"},
		"no selector":          {[]string{"init", "-n", "shop", "-l", "a==b==c"}, 2, "is not a label selector"},
		"drill itself":         {[]string{"init", "-n", "failoverdrill"}, 2, "drill's own"},
		"the file is there":    {[]string{"init", "mine", "-n", "shop"}, 2, "mine.hcl is there already"},
		"so is that of --out":  {[]string{"init", "-n", "shop", "--out", "mine.hcl"}, 2, "--force"},
		"no such directory":    {[]string{"init", "-n", "shop", "--out", "none/mine.hcl", "--force"}, 2, "there is no directory none"},
		"a directory":          {[]string{"init", "-n", "shop", "--out", dir}, 2, "is a directory"},
		"no namespace's name":  {[]string{"init", "-n", "The Shop"}, 2, "cannot be the name of a namespace"},
		"force asks a cluster": {append([]string{"init", "mine", "-n", "shop", "--force"}, nowhere...), 1, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, errs := call(t, tc.args...)
			require.Equal(t, tc.code, code, errs)
			require.Contains(t, errs, tc.says)
		})
	}
	require.Error(t, save("mine.hcl", []byte("x"), false), "who was quicker wins")
	require.NoError(t, save("mine.hcl", []byte("# ours\n"), true))
	raw, err := os.ReadFile("mine.hcl")
	require.NoError(t, err)
	require.Equal(t, "# ours\n", string(raw))
}

// TestChoose: a terminal is asked until it answers; whoever is none gets the list and the flag.
func TestChoose(t *testing.T) {
	c := starter.Choice{What: "Services that lead there", Flag: "--service", Options: []starter.Candidate{{Value: "a", Text: "leads to x"}, {Value: "b\x1b[2J", Text: "leads to y"}}}
	var errs bytes.Buffer
	env := &Env{Stderr: &errs, Stdin: strings.NewReader("\n3\n2\n"), Asked: true}
	got, err := env.choose(c)
	require.NoError(t, err)
	require.Equal(t, "b\x1b[2J", got)
	require.NotContains(t, errs.String(), "\x1b", "names from a cluster steer no terminal")

	_, err = (&Env{Stderr: &errs, Stdin: strings.NewReader("x\n"), Asked: true}).choose(c)
	require.Equal(t, exitRefused, exitCode(err))
	_, err = (&Env{Stdin: strings.NewReader("1\n")}).choose(c)
	require.Equal(t, exitRefused, exitCode(err))
	require.ErrorContains(t, err, "--service a   (leads to x)")
}
