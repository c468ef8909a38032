// Package cli is the commands; it is the only place that touches the process: flags, files, terminals, signals, exit codes.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/mattn/go-isatty"

	"github.com/failoverdrill/drill/internal/drill"
)

// Env is the process as the commands see it; a test makes its own.
type Env struct {
	Args    []string // without the program's name
	Stdin   io.Reader
	Stdout  io.Writer // results
	Stderr  io.Writer // status and logs
	Getenv  func(string) string
	Environ func() []string        // as NAME=value; nil has none
	TTY     bool                   // standard error is a terminal
	OutTTY  bool                   // standard output is a terminal
	Plain   bool                   // no colour, whatever the terminal can do: --no-color
	Asked   bool                   // somebody can be asked: standard input is a terminal, and so is standard error
	Notify  func(chan<- os.Signal) // asks for interrupts
	Exit    func(code int)         // ends the process at once; for the second Ctrl-C

	stage *stage // for tests
}

// OS is the real process.
func OS() *Env {
	return &Env{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Environ: os.Environ,
		TTY:    isatty.IsTerminal(os.Stderr.Fd()),
		OutTTY: isatty.IsTerminal(os.Stdout.Fd()),
		Asked:  isatty.IsTerminal(os.Stdin.Fd()) && isatty.IsTerminal(os.Stderr.Fd()),
		Notify: func(c chan<- os.Signal) { signal.Notify(c, os.Interrupt, syscall.SIGTERM) },
		Exit:   os.Exit,
	}
}

// color reports whether what is written to w, standard output or standard error, may be coloured. NO_COLOR counts even
// when empty in spirit, but a process cannot tell an empty variable from none through Getenv, so that any text switches
// colour off.
func (e *Env) color(w io.Writer) bool {
	terminal := e.TTY
	if w == e.Stdout {
		terminal = e.OutTTY
	}
	return terminal && !e.Plain && e.Getenv("NO_COLOR") == "" && e.Getenv("TERM") != "dumb"
}

// status prints a line for people.
// What it is about comes from a cluster that the terminal must not obey: texts and errors among args become clean.
func (e *Env) status(format string, args ...any) {
	fmt.Fprintf(e.Stderr, format+"\n", cleanArgs(args)...)
}

// cleanArgs is args with every text in them as one clean line.
func cleanArgs(args []any) []any {
	clean := make([]any, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case string:
			clean[i] = drill.Clean(a)
		case error:
			clean[i] = drill.Clean(a.Error())
		case fmt.Stringer:
			clean[i] = drill.Clean(a.String())
		default:
			clean[i] = a
		}
	}
	return clean
}

// errInterrupted is the cause with which a command's context ends at the first Ctrl-C.
type errInterrupted struct{ signal os.Signal }

func (e errInterrupted) Error() string { return e.signal.String() }

// interruptible returns a context that the first interrupt cancels. The second one says what is left and exits at once.
func (e *Env) interruptible(ctx context.Context, onFirst, onSecond func()) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 2)
	e.Notify(signals)
	done, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		select {
		case s := <-signals:
			cancel(errInterrupted{s}) // before anything is written: the terminal may be stopped
			within(sayTimeout, onFirst)
		case <-done:
			return
		}
		select {
		case <-signals:
			within(sayTimeout, onSecond)
			e.Exit(exitInterrupted)
		case <-done:
		}
	}()
	return ctx, func() { close(done); cancel(nil); <-over }
}
