// Command parse only parses the HCL files in a directory: what a validator cannot do without, to hold drill's cost against.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/hcl/v2/hclparse"
)

func main() {
	files, err := filepath.Glob(filepath.Join(os.Args[1], "*.hcl"))
	if err != nil || len(files) == 0 {
		fmt.Fprintln(os.Stderr, "no files", err)
		os.Exit(2)
	}
	parser := hclparse.NewParser()
	for _, f := range files {
		if _, diags := parser.ParseHCLFile(f); diags.HasErrors() {
			fmt.Fprintln(os.Stderr, diags)
			os.Exit(1)
		}
	}
	fmt.Println(len(files))
}
