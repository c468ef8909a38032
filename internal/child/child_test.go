package child_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/child"
)

// TestMain is the child, too: with an argument it does what that says.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "child" {
		os.Exit(misbehave(os.Args[2]))
	}
	os.Exit(m.Run())
}

func misbehave(how string) int {
	in, err := child.Input(os.Stdin)
	if err == nil {
		err = child.Confine()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	switch how {
	case "echo":
		fmt.Printf("%s and %d variables", in, len(os.Environ()))
	case "eat":
		var all [][]byte
		for {
			b := make([]byte, 1<<20)
			for i := range b {
				b[i] = 1
			}
			all = append(all, b)
			if len(all) > 2048 {
				return 0
			}
		}
	case "spin":
		for i := 0; ; i++ {
		}
	case "sleep":
		time.Sleep(time.Hour)
	case "talk":
		for range 64 {
			fmt.Print(strings.Repeat("x", 1<<20))
		}
	case "open":
		_, file := os.Open("/etc/hostname")
		_, dial := net.DialTimeout("tcp", "127.0.0.1:1", time.Second)
		fmt.Printf("%v; %v", file, dial)
	case "use much":
		b := make([]byte, 32<<20)
		for i := range b {
			b[i] = 1
		}
		fmt.Print("used")
	}
	return 0
}

func does(t *testing.T, how, input string) (string, error) {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	began := time.Now()
	out, err := child.New(exe, "child", how).Do(t.Context(), []byte(input))
	t.Logf("%s: %v, %v", how, time.Since(began).Round(time.Millisecond), err)
	return string(out), err
}

// TestT1AChildHasBounds: whatever hostile bytes do to the process that reads them, its parent lives, and learns of it.
func TestT1AChildHasBounds(t *testing.T) {
	for how, says := range map[string]string{"eat": "within 64 MiB", "spin": "could not be read within ", "sleep": "within 8s", "talk": "more than 1024 KiB"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			_, err := does(t, how, "x")
			var killed *child.KilledError
			require.ErrorAs(t, err, &killed)
			require.ErrorContains(t, err, says)
		})
	}
	out, err := does(t, "open", "")
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(out, "too many open files"), out)
	if !raced {
		out, err = does(t, "use much", "")
		require.NoError(t, err)
		require.Equal(t, "used", out)
	}
	_, err = does(t, "echo", strings.Repeat("x", child.MaxInput+1))
	var killed *child.KilledError
	require.ErrorAs(t, err, &killed)
}

// TestAChildGetsItsInputAlone: nothing of the server's environment is in it.
func TestAChildGetsItsInputAlone(t *testing.T) {
	t.Setenv("PGSSLROOTCERT", "/dev/zero")
	out, err := does(t, "echo", "bytes")
	require.NoError(t, err)
	require.Equal(t, "bytes and 3 variables", out)
}

// TestOneAtATime: two children at once would need the memory of two.
func TestOneAtATime(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	w := child.New(exe, "child", "sleep")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := w.Do(ctx, nil)
		ended <- err
	}()
	for {
		late, stop := context.WithTimeout(t.Context(), 10*time.Millisecond)
		_, err := w.Do(late, nil)
		stop()
		if err != nil && strings.Contains(err.Error(), "wait for a reader") {
			break
		}
	}
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)

	_, err = child.New("/nonexistent").Do(t.Context(), nil)
	require.Error(t, err)
	var killed *child.KilledError
	require.NotErrorAs(t, err, &killed, "it is not the file's fault")
}
