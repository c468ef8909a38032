package probes

import (
	"sync"

	"github.com/failoverdrill/drill/internal/drill"
)

// outbox hands samples to emit from one goroutine, in the order in which they were put. It is unbounded, because
// neither a probe nor the schedule may ever wait for a reader.
type outbox struct {
	emit func(drill.Sample)
	done chan struct{}

	mu     sync.Mutex
	filled *sync.Cond
	queue  []drill.Sample
	closed bool
}

func newOutbox(emit func(drill.Sample)) *outbox {
	o := &outbox{emit: emit, done: make(chan struct{})}
	o.filled = sync.NewCond(&o.mu)
	go o.drain()
	return o
}

func (o *outbox) put(s drill.Sample) {
	o.mu.Lock()
	o.queue = append(o.queue, s)
	o.mu.Unlock()
	o.filled.Signal()
}

// close returns when every sample has been handed over.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.filled.Signal()
	<-o.done
}

func (o *outbox) drain() {
	defer close(o.done)
	var batch []drill.Sample
	const keep = 1024 // slots; more is the room of a burst, which is over
	for {
		o.mu.Lock()
		for len(o.queue) == 0 && !o.closed {
			o.filled.Wait()
		}
		batch, o.queue = o.queue, batch[:0] // two slices in turn
		o.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		for _, s := range batch {
			o.emit(s)
		}
		clear(batch) // what they point to is the reader's now
		if cap(batch) > keep {
			batch = nil
		}
	}
}
