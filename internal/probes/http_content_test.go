package probes

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestContent holds JSON to what is expected of it, exactly: nothing is converted, and nothing that is missing is null.
func TestContent(t *testing.T) {
	const body = `{"status": "ok", "lag": 0.10, "big": 9007199254740993, "one": "1", "none": null, "up": true,
		"checks": [{"name": "db", "up": true}, {"name": "cache", "up": false}], "a.b": 1, "status2": "ok"}`
	for _, c := range []struct {
		expect string
		body   string // empty: the one above
		want   bool
	}{
		{expect: `status = "ok"`, want: true},
		{expect: `status = "OK"`},
		{expect: `status = "o"`},
		{expect: `status = true`},
		{expect: `status = null`},
		{expect: `stat = "ok"`},
		{expect: `stat = null`},
		{expect: `none = null`, want: true},
		{expect: `none = false`},
		{expect: `none = ""`},
		{expect: `none = 0`},
		{expect: `lag = 0.1`, want: true},
		{expect: `lag = 0.1000000001`},
		{expect: `lag = "0.10"`},
		{expect: `big = 9007199254740993`, want: true},
		{expect: `big = 9007199254740992`},
		{expect: `one = 1`},
		{expect: `one = "1"`, want: true},
		{expect: `up = true`, want: true},
		{expect: `up = false`},
		{expect: `up = 1`},
		{expect: `up = "true"`},
		{expect: `"checks.0.name" = "db"`, want: true},
		{expect: `"checks.1.up" = false`, want: true},
		{expect: `"checks.2.up" = false`},
		{expect: `"checks.#" = 2`, want: true},
		{expect: `"checks.#(name==\"cache\").up" = false`, want: true},
		{expect: `"a\\.b" = 1`, want: true},
		{expect: `checks = "x"`},
		{expect: "status = \"ok\"\nup = true", want: true},
		{expect: "status = \"ok\"\nup = false"},
		{expect: `status = "ok"`, body: `{"status": "ok"`},
		{expect: `status = "ok"`, body: `<html>"status": "ok"</html>`},
		{expect: `status = "ok"`, body: `{"status": "ok"}{`},
		{expect: `status = "ok"`, body: "x"},
	} {
		expect := fmt.Sprintf("url = \"http://checkout\"\nexpect_json = {\n%s\n}", c.expect)
		spec, diags := decode(t, "http", expect)
		require.False(t, diags.HasErrors(), "%s: %v", expect, diags)
		text := c.body
		if text == "" {
			text = body
		}
		assert.Equal(t, c.want, spec.(httpSpec).Content.holds([]byte(text)), c.expect)
	}
	spec, _ := decode(t, "http", "url = \"http://checkout\"\nexpect_body = \"a\"\nexpect_body_regex = \"^b\"")
	for text, want := range map[string]bool{"ba": true, "b": false, "ab": false} {
		assert.Equal(t, want, spec.(httpSpec).Content.holds([]byte(text)), text)
	}
}
