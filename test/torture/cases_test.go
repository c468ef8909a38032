package torture

import (
	"fmt"
	"strings"
)

// ugly is a set of files that no one should have, and what drill says of it.
type ugly struct {
	name  string
	files map[string]string // by path; a drill file called x.hcl is what most have
	args  []string          // beside validate
	env   []string
	says  string // part of the message; "" where the file is valid
}

func one(name, text, says string) ugly {
	return ugly{name: name, files: map[string]string{"x.hcl": text}, says: says}
}

// local puts locals into a file that is right in everything else, and uses the last one.
func local(name, locals, says string) ugly {
	return one(name, "locals {\n"+locals+"\n}\n"+using(`"${local.z}"`), says)
}

// using is a drill whose description is an expression.
func using(expr string) string {
	return strings.Replace(fill(plainDrill, 1), `"The primary of orders-0001 dies, and a replica takes over."`, expr, 1)
}

func times(n int, line func(i int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(line(i))
	}
	return b.String()
}

func repeat(s string, n int) string { return strings.Repeat(s, n) }

const mebibyte = 1 << 20

// texts are files of which nothing can be made.
func texts() []ugly {
	drill := fill(plainDrill, 1)
	return []ugly{
		one("empty", "", "Missing drill block"),
		one("only spaces", repeat(" ", mebibyte), "Missing drill block"),
		one("only newlines", repeat("\n", mebibyte), "File too large"),
		one("only comments", repeat("# nothing\n", mebibyte/10), "Missing drill block"),
		one("10 MB", Plain(10*mebibyte), "File too large"),
		one("10 MB of one line", "x = \""+repeat("a", 10*mebibyte)+"\"", "File too large"),
		one("NUL bytes", "\x00\x00\x00"+drill, "Control character"),
		one("NUL in a string", strings.Replace(drill, "shop-", "shop\x00-", 1), "Control character"),
		one("NUL as an escape", strings.Replace(drill, "shop-", `shop\u0000-`, 1), "Control character"),
		one("invalid UTF-8", strings.Replace(drill, "shop-", "shop\xff-", 1), "Invalid character encoding"),
		one("UTF-16", "\xff\xfed\x00r\x00i\x00l\x00l\x00", "Invalid character encoding"),
		one("half a rune at the end", drill+"# \xe2\x82", "Invalid character encoding"),
		one("byte order mark", "\ufeff"+drill, "byte order mark"),
		one("CRLF", strings.ReplaceAll(drill, "\n", "\r\n"), ""),
		one("CR alone", strings.ReplaceAll(drill, "\n", "\r"), "Error"),
		one("terminal escapes", strings.Replace(drill, "shop-", "\x1b[2J-", 1), "Control character"),
		one("a binary", repeat("\x7fELF\x02\x01\x01\x00", 1000), "Control character"),
		one("JSON", `{"drill": {"x": {}}}`, "Error"),
		one("YAML", "kind: Workflow\nmetadata:\n  name: x\n", "Error"),
		one("right-to-left override", strings.Replace(drill, "shop-", "shop\u202e-", 1), "Control character"),
	}
}

// shapes are files of odd forms and sizes.
func shapes() []ugly {
	drill := fill(plainDrill, 1)
	return []ugly{
		one("brackets nested 300,000 deep", "x = "+repeat("[", 300_000), "nested too deeply"),
		one("brackets that close, 100,000 deep", "x = "+repeat("[", 100_000)+repeat("]", 100_000), "nested too deeply"),
		one("parentheses", "x = "+repeat("(", 100_000)+"1"+repeat(")", 100_000), "nested too deeply"),
		one("blocks in blocks", repeat("a {\n", 100_000)+repeat("}\n", 100_000), "nested too deeply"),
		one("templates in templates", "x = "+repeat(`"${`, 50_000)+"1"+repeat(`}"`, 50_000), "nested too deeply"),
		one("directives in templates", `x = "`+repeat(`%{ if true }`, 50_000)+repeat(`%{ endif }`, 50_000)+`"`, "Error"),
		one("heredocs in heredocs", "x = "+repeat("<<A\n${", 30_000), "Error"),
		one("objects in objects", "x = "+repeat("{ a = ", 50_000)+"1"+repeat(" }", 50_000), "nested too deeply"),
		one("calls in calls", "x = "+repeat("min(", 50_000)+"1"+repeat(")", 50_000), "nested too deeply"),
		one("minus", "x = "+repeat("-", 500_000)+"1", "Error"),
		one("not", "x = "+repeat("!", 500_000)+"true", "Error"),
		one("conditionals in a row", "x = "+repeat("true ? 1 : ", 80_000)+"1", "Error"),
		one("sums", "x = 1"+repeat(" + 1", 200_000), "Error"),
		one("ands", "x = true"+repeat(" && true", 100_000), "Error"),
		one("attributes of attributes", "x = a"+repeat(".b", 400_000), "Error"),
		one("indexes of indexes", "x = a"+repeat("[0]", 300_000), "Error"),
		one("splats of splats", "x = a"+repeat("[*]", 300_000), "Error"),
		one("splats by dot", "x = a"+repeat(".*", 400_000), "Error"),
		one("an open string", "x = \""+repeat("a", mebibyte-100), "Error"),
		one("an open heredoc", "x = <<A\n"+repeat("a\n", mebibyte/2-100), "Error"),
		one("an open comment", "/*"+repeat("a", mebibyte-100), "Error"),
		one("a line of a megabyte", strings.Replace(drill, "The primary", repeat("a", mebibyte-3000), 1), "Description too long"),
		one("a name of a megabyte", strings.Replace(drill, "plain-0001", repeat("a", mebibyte-3000), 1), "Invalid name"),
		one("a block type of a megabyte", drill+repeat("a", mebibyte-3000)+" {}\n", "Unsupported block type"),
		one("an argument's name of a megabyte", strings.Replace(drill, "timeout ", repeat("a", mebibyte-3000)+" ", 1), "Unsupported argument"),
		one("a reference of a megabyte", strings.Replace(drill, "target.orders.lag_seconds < 1", "target.orders."+repeat("a", mebibyte-3000)+" < 1", 1), "Unknown attribute"),
		one("a kind of a megabyte", strings.Replace(drill, "kill_primary", repeat("k", mebibyte-3000), 1), "Unknown kind of fault"),
		one("a function's name of a megabyte", strings.Replace(drill, "duration(", repeat("f", mebibyte-3000)+"(", 1), "Error"),
		one("a number of a megabyte", strings.Replace(drill, "lost_writes     = 0", "lost_writes     = "+repeat("9", mebibyte-3000), 1), "Number too long"),
		one("a huge exponent", strings.Replace(drill, "lost_writes     = 0", "lost_writes     = 1e999999999", 1), "Error"),
		one("homoglyphs", strings.Replace(drill, `target "postgresql" "orders"`, `target "postgresql" "оrders"`, 1), "Invalid name"),
		one("homoglyphs in a reference", strings.Replace(drill, "target.orders.lag", "target.оrders.lag", 1), "Unknown target"),
		one("two forms of one letter", strings.Replace(drill, "target.orders.lag_seconds", "target.orders.lag_se\u0301conds", 1), "Unknown attribute"),
		one("100,000 blocks", repeat("a {}\n", 100_000), "Too many blocks"),
		one("100,000 drills of one name", repeat("drill \"a\" {}\n", 60_000), "Too many blocks"),
		one("100,000 drills", times(50_000, func(i int) string { return fmt.Sprintf("drill \"a%d\" {}\n", i) }), "Too many blocks"),
		one("4,000 drills of one name", repeat("drill \"a\" {}\n", 4_000), "Too many problems"),
		one("4,000 aborts", strings.Replace(drill, "  objectives", repeat("  abort \"y\" {}\n", 4_000)+"  objectives", 1), "Too many problems"),
		one("100,000 arguments", times(100_000, func(i int) string { return fmt.Sprintf("a%d=1\n", i) }), "Too many problems"),
		one("one argument 100,000 times", repeat("a = 1\n", 100_000), "Error"),
		one("100,000 labels", "drill "+repeat("\"a\" ", 100_000)+"{}\n", "Error"),
		one("100,000 targets", strings.Replace(drill, "  steady_state", repeat("  target \"x\" \"y\" {}\n", 50_000)+"  steady_state", 1), "Error"),
		one("100,000 aborts", strings.Replace(drill, "  objectives", repeat("  abort \"y\" {}\n", 60_000)+"  objectives", 1), "Too many blocks"),
		one("4,000 asserts", strings.Replace(drill, "  steady_state {", "  steady_state {\n"+repeat("assert {\ncondition = target.orders.lag_seconds < 1\nerror_message = \"x\"\n}\n", 4_000), 1), "Too many blocks"),
		one("4,000 wrong asserts", strings.Replace(drill, "  steady_state {", "  steady_state {\n"+repeat("assert {\ncondition = target.ordres.lag < 1\nerror_message = \"x\"\n}\n", 4_000), 1), "Too many problems"),
		one("everything twice", drill+drill, "Duplicate name"),
	}
}

// bombs are small, and what they make is large.
func bombs() []ugly {
	doubling := func(what string, n int) string {
		return times(n, func(i int) string {
			return fmt.Sprintf("  a%d = %s\n", i+1, strings.ReplaceAll(what, "@", fmt.Sprintf("local.a%d", i)))
		})
	}
	billion := "range(1000)"
	return []ugly{
		local("range of a billion", "  z = length(range(1000000000))", "Error"),
		local("nested for", fmt.Sprintf("  z = length([for a in %[1]s : [for b in %[1]s : [for c in %[1]s : a]]])", billion), "Error"),
		local("nested for, flattened", fmt.Sprintf("  z = length(flatten([for a in %[1]s : [for b in %[1]s : [for c in %[1]s : a]]]))", billion), "Error"),
		local("nested for, of an object", fmt.Sprintf(`  z = length({ for a in %[1]s : "k${a}" => { for b in %[1]s : "k${b}" => [for c in %[1]s : c] } })`, billion), "Error"),
		local("for over for", "  a = [for i in range(1000) : [for j in range(1000) : j]]\n  z = length([for i in range(1000) : local.a])", "Error"),
		local("setproduct", "  a = range(1000)\n  z = length(setproduct(local.a, local.a, local.a))", "Error"),
		local("setproduct of many", "  a = [0, 1]\n  z = length(setproduct("+repeat("local.a, ", 29)+"local.a))", "Error"),
		local("strings that double", "  a0 = \"aaaaaaaa\"\n"+doubling(`"${@}${@}"`, 40)+"  z = length(local.a40)", "Error"),
		local("lists that double", "  a0 = [1]\n"+doubling(`concat(@, @)`, 40)+"  z = length(local.a40)", "Error"),
		local("tuples that nest", "  a0 = [1]\n"+doubling(`[@, @]`, 40)+"  z = length(flatten(local.a40))", "Error"),
		local("tuples that nest, as JSON", "  a0 = [1]\n"+doubling(`[@, @]`, 40)+"  z = length(jsonencode(local.a40))", "Error"),
		local("tuples that nest, compared", "  a0 = [1]\n"+doubling(`[@, @]`, 40)+"  z = local.a40 == local.a40", "Error"),
		local("tuples that nest, in a template", "  a0 = [1]\n"+doubling(`[@, @]`, 40)+"  z = \"${local.a40}\"", "Error"),
		local("objects that nest", "  a0 = {a = 1}\n"+doubling(`{a = @, b = @}`, 40)+"  z = length(jsonencode(local.a40))", "Error"),
		local("objects merged", "  a0 = {a = 1}\n"+doubling(`merge(@, {x = @})`, 40)+"  z = length(local.a40)", ""),
		local("numbers that square", "  a0 = 3\n"+doubling(`@ * @`, 60)+"  z = local.a60", "Error"),
		local("powers", "  z = pow(pow(pow(10, 300), 300), 300)", ""),
		local("factorial by hand", "  a0 = 1\n"+doubling(`@ * 1e300`, 20)+"  z = local.a20", "Error"),
		local("join", "  a = [for i in range(1000) : join(\"\", [for j in range(1000) : \"aaaaaaaaaa\"])]\n  z = length(join(\"\", local.a))", "Error"),
		local("replace", "  a0 = \"aaaaaaaaaaaaaaaa\"\n"+doubling(`replace(@, "a", @)`, 8)+"  z = length(local.a8)", "Error"),
		local("replace by a pattern", "  a0 = \"aaaaaaaaaaaaaaaa\"\n"+doubling(`replace(@, "/a/", @)`, 8)+"  z = length(local.a8)", "Error"),
		local("format, padded", "  z = length(format(\"%999999999d\", 1))", "Error"),
		local("format, with width from outside", "  z = length(format(\"%*d\", 999999999, 1))", "Error"),
		local("format, of a fraction", "  z = length(format(\"%.999999999f\", 1))", "Error"),
		local("formatlist", "  a = range(1000)\n  z = length(formatlist(\"%999999d\", local.a))", "Error"),
		local("indent", "  z = length(indent(999999999, \"a\\nb\"))", "Error"),
		local("repeated regex", "  z = length(regexall(\"(a|b|ab)*c\", \""+repeat("ab", 20_000)+"\"))", "Value too large"),
		local("a regex that counts", "  z = can(regex(\""+repeat("(", 8)+"a{1000}"+repeat("){1000}", 8)+"\", \"a\"))", ""),
		local("regex of everything", "  z = length(regexall(\"\", \""+repeat("a", 200_000)+"\"))", "Value too large"),
		local("split", "  z = length(split(\"\", \""+repeat("a", 500_000)+"\"))", "Value too large"),
		local("splat of splat", "  a0 = [[1]]\n"+doubling(`[@, @][*]`, 30)+"  z = length(flatten(local.a30[*][*][*][*]))", "Error"),
		local("a cycle", "  a = local.b\n  b = local.c\n  c = local.a\n  z = local.a", "Error"),
		local("a cycle of one", "  z = local.z", "Error"),
		local("a cycle of 10,000", times(10_000, func(i int) string { return fmt.Sprintf("  a%d = local.a%d\n", i, (i+1)%10_000) })+"  z = local.a0", "Error"),
		local("a chain of 10,000", "  a0 = 1\n"+times(9_999, func(i int) string { return fmt.Sprintf("  a%d = local.a%d\n", i+1, i) })+"  z = local.a9999", ""),
		local("a chain of 10,000, backwards", times(9_999, func(i int) string { return fmt.Sprintf("  a%d = local.a%d\n", i, i+1) })+"  a9999 = 1\n  z = local.a0", ""),
		local("a chain that grows", "  a0 = \"a\"\n"+times(9_999, func(i int) string { return fmt.Sprintf("  a%d = \"${local.a%d}a\"\n", i+1, i) })+"  z = length(local.a9999)", "Too much to evaluate"),
		local("all locals at once, 3,000 times", times(3_000, func(i int) string { return fmt.Sprintf("  a%d = local\n", i) })+"  z = local.a0", "Error"),
		local("10,000 locals of one name", repeat("  z = 1\n", 10_000), "Error"),
		local("20,000 unknown references", times(20_000, func(i int) string { return fmt.Sprintf("  a%d = lcoal.b%d\n", i, i) })+"  z = 1", "Too many problems"),
		local("20,000 misspelt locals", times(20_000, func(i int) string { return fmt.Sprintf("  a%d = local.b%d\n", i, i) })+"  z = 1", "Too many problems"),
		one("a condition that makes a billion", strings.Replace(fill(plainDrill, 1), "target.orders.lag_seconds < 1",
			fmt.Sprintf("target.orders.lag_seconds < length([for a in %[1]s : [for b in %[1]s : [for c in %[1]s : target.orders.lag_seconds]]])", billion), 1), "Error"),
		one("a condition over a range that is not known", strings.Replace(fill(plainDrill, 1), "target.orders.lag_seconds < 1",
			"length(range(target.orders.lag_seconds * 1000000000)) < 1", 1), ""),
		one("a message that makes a billion", strings.Replace(fill(plainDrill, 1), "The replicas lag", "${join(\"\", [for a in range(1000) : join(\"\", [for b in range(1000) : \"aaaaaaaaaaaaaaaaaa\"])])}", 1)+"", ""),
		one("20,000 conditions that each work", strings.Replace(fill(plainDrill, 1), "  steady_state {", "  steady_state {\n"+repeat("assert {\ncondition = target.orders.lag_seconds < length(range(1000))\nerror_message = \"x\"\n}\n", 8_000), 1), "Error"),
	}
}

// values are ugly in what comes from outside the drill file.
func values() []ugly {
	asking := "variable \"z\" {\n  type = string\n}\n" + using(`"${var.z}"`)
	with := func(name, vars, says string) ugly {
		return ugly{name: name, files: map[string]string{"x.hcl": asking, "x.drillvars.hcl": vars}, says: says}
	}
	arg := func(name, value, says string) ugly {
		return ugly{name: name, files: map[string]string{"x.hcl": asking}, args: []string{"--var", value}, says: says}
	}
	return []ugly{
		with("variables file: empty", "", ""),
		with("variables file: NUL", "z = \"\x00\"", "Control character"),
		with("variables file: invalid UTF-8", "z = \"\xff\"", "Invalid character encoding"),
		with("variables file: 10 MB", "z = \""+repeat("a", 10*mebibyte)+"\"", "x.drillvars.hcl"),
		with("variables file: nested", "z = "+repeat("[", 300_000), "nested too deeply"),
		with("variables file: a block", "z {}\n", "Error"),
		with("variables file: a function", "z = range(1000000000)", "Error"),
		with("variables file: a for", "z = [for a in [1] : a]", "Error"),
		with("variables file: a reference", "z = local.a", "Error"),
		with("variables file: itself", "z = var.z", "Error"),
		with("variables file: 30,000 strays", times(30_000, func(i int) string { return fmt.Sprintf("a%d = 1\n", i) })+"z = \"a\"\n", ""),
		with("variables file: one name 50,000 times", repeat("z = \"a\"\n", 50_000), "Error"),
		with("variables file: the wrong type", "z = [1, 2]", "Error"),
		with("variables file: null", "z = null", ""),
		arg("--var of nothing", "", "--var"),
		arg("--var without a value", "z", "--var"),
		arg("--var without a name", "=z", "--var"),
		arg("--var of another name", "zz=1", "--var"),
		arg("--var that is long", "z="+repeat("a", 100_000), "Description too long"),
		arg("--var with an escape", "z=\x1b[2J", "control character"),
		arg("--var with invalid UTF-8", "z=\xff", "Error"),
		arg("--var that is an expression", "z=${range(1000000000)}", ""),
		{name: "a list that is nested, by --var", files: map[string]string{"x.hcl": "variable \"z\" {\n  type = list(string)\n}\n" + fill(plainDrill, 1)}, args: []string{"--var", "z=" + repeat("[", 60_000)}, says: "Error"},
		{name: "a list that is made, by --var", files: map[string]string{"x.hcl": "variable \"z\" {\n  type = list(number)\n}\n" + fill(plainDrill, 1)}, args: []string{"--var", "z=range(1000000000)"}, says: "Error"},
		{name: "the environment: a megabyte", files: map[string]string{"x.hcl": asking}, env: []string{"DRILL_VAR_z=" + repeat("a", 100_000)}, says: "Description too long"},
		{name: "the environment: an escape", files: map[string]string{"x.hcl": asking}, env: []string{"DRILL_VAR_z=\x1b[2J"}, says: "control"},
		one("types nested", "variable \"z\" {\n  type = "+repeat("list(", 10_000)+"string"+repeat(")", 10_000)+"\n}\n"+fill(plainDrill, 1), "nested too deeply"),
		one("an object type of 10,000 attributes", "variable \"z\" {\n  type = object({"+times(2_000, func(i int) string { return fmt.Sprintf("a%d = string\n", i) })+"})\n default = {}\n}\n"+fill(plainDrill, 1), "Error"),
		one("4,000 variables", times(4_000, func(i int) string { return fmt.Sprintf("variable \"a%d\" {\n  default = %d\n}\n", i, i) })+fill(plainDrill, 1), ""),
		one("4,000 variables of one name", repeat("variable \"a\" {}\n", 4_000)+fill(plainDrill, 1), "Too many problems"),
		one("a validation that makes a billion", "variable \"z\" {\n  default = 1\n  validation {\n    condition     = length([for a in range(1000) : [for b in range(1000) : [for c in range(1000) : var.z]]]) > 0\n    error_message = \"No.\"\n  }\n}\n"+fill(plainDrill, 1), "Error"),
	}
}
