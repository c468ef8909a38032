// Command drill proves that a highly available system really fails over.
package main

import (
	"os"

	"github.com/failoverdrill/drill/internal/cli"
)

func main() { os.Exit(cli.Main(cli.OS())) }
