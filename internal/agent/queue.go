package agent

import (
	"io"
	"slices"
	"sync"
)

// queue bounds how many connections are open at once. The newest is let in, and the oldest is closed for it: whoever only
// waits must not keep out the runner, who is through in milliseconds.
type queue struct {
	most int
	mu   sync.Mutex
	in   []io.Closer
}

// enter lets a connection in; the function that it returns is called when it leaves.
func (q *queue) enter(c io.Closer) (leave func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.in = append(q.in, c)
	if len(q.in) > q.most {
		_ = q.in[0].Close()
		q.in = q.in[1:]
	}
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.in = slices.DeleteFunc(q.in, func(have io.Closer) bool { return have == c })
	}
}
