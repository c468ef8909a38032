// Package bubble plays tests in virtual time, where the race detector can follow: of testing/synctest on one processor.
package bubble

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
)

// playing are the bubbles that are open, and the processors there were before the first.
var playing struct {
	sync.Mutex
	bubbles, processors int
}

// Test is synctest.Test on one processor. On several, timers of one bubble fire on more than one thread at once with one
// context of the race detector, which then crashes within its own code, now and then, whatever is tested
// (https://github.com/golang/go/issues/78156, seen with go 1.26). Races are found all the same: the detector goes by what is
// ordered, not by what happens at once.
func Test(t *testing.T, f func(*testing.T)) {
	t.Helper()
	enter()
	defer leave()
	synctest.Test(t, f)
}

func enter() {
	playing.Lock()
	defer playing.Unlock()
	if playing.bubbles++; playing.bubbles == 1 {
		playing.processors = runtime.GOMAXPROCS(1)
	}
}

func leave() {
	playing.Lock()
	defer playing.Unlock()
	if playing.bubbles--; playing.bubbles == 0 {
		runtime.GOMAXPROCS(playing.processors)
	}
}
