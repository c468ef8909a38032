// Package detail is a run's lossless log: every event with every slot, delta-coded by columns and compressed.
package detail

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"reflect"
	"strings"
	"sync"

	"github.com/failoverdrill/drill/internal/drill"
)

// The format is a line that names it, and then frames: one of each kind, but as many of events as there are blocks.
// docs/design/007-the-detail.md describes it.
const (
	magic   = "drill detail "
	version = "1\n"

	frameColumns = 'c' // the columns' names: of the head, and of the events
	frameHead    = 'h'
	frameEvents  = 'e' // how many, and a block of them
	frameEnd     = 'z' // how many events there are; without it, something was cut off
)

const (
	// blockSlots is after how many slots and events a block is closed: more are smaller together, and take longer to
	// compress, which holds the run up.
	blockSlots = 8 << 10
	// maxBlock bounds what a block may grow to when it is unpacked: what is read may have been made to hurt.
	maxBlock = 256 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// shape is the coder of a type with its columns.
type shape struct {
	coder coder
	names []string
}

// shapes are those of the present version. That they can be made is tested; it depends on types alone.
var shapes = sync.OnceValues(func() (head, event shape) {
	var errs [2]error
	head.coder, head.names, errs[0] = shapeOf(reflect.TypeFor[drill.Recording]())
	event.coder, event.names, errs[1] = shapeOf(reflect.TypeFor[drill.Event]())
	if err := errors.Join(errs[:]...); err != nil {
		panic(err)
	}
	return head, event
})

// Writer collects a run's events. It is safe for concurrent use.
type Writer struct {
	mu     sync.Mutex
	head   drill.Recording
	event  shape
	open   *block // not compressed yet
	slots  int    // in open, with the events
	fresh  int    // events in open
	total  int
	frames []byte // of what is compressed
	raw    []byte // the block that was packed last; for its memory
	zip    *flate.Writer
	zipped bytes.Buffer
	err    error // the first thing that could not be coded
}

// NewWriter begins a log. Of the recording everything counts but its events.
func NewWriter(head drill.Recording) *Writer {
	_, event := shapes()
	w := &Writer{head: head, event: event, open: newBlock(event.names)}
	var err error
	if w.zip, err = flate.NewWriter(&w.zipped, flate.DefaultCompression); err != nil {
		panic(err) // there is no such level
	}
	return w
}

// Append takes the next event of the stream, and keeps nothing that belongs to the caller. The report's own event is
// left out: it follows from the others.
func (w *Writer) Append(e drill.Event) {
	if e.Type == drill.EventReport {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.event.coder.write(w.open, reflect.ValueOf(&e).Elem())
	w.fresh++
	w.slots += 1 + len(e.Samples)
	if w.slots >= blockSlots {
		w.close()
	}
}

// close compresses the open block.
func (w *Writer) close() {
	if w.fresh == 0 {
		return
	}
	w.err = cmpErr(w.err, w.open.err)
	w.raw = w.open.pack(binary.AppendUvarint(w.raw[:0], uint64(w.fresh)))
	w.frames = w.frame(w.frames, frameEvents, w.raw)
	w.total += w.fresh
	w.fresh, w.slots = 0, 0
	w.open.reset()
}

func cmpErr(first, next error) error {
	if first != nil {
		return first
	}
	return next
}

// frame appends one frame: its kind, how long it is unpacked and packed, the packed bytes and their checksum.
func (w *Writer) frame(out []byte, kind byte, raw []byte) []byte {
	w.zipped.Reset()
	w.zip.Reset(&w.zipped)
	_, err := w.zip.Write(raw)
	w.err = cmpErr(w.err, errors.Join(err, w.zip.Close())) // of a buffer in memory: never
	if len(raw) > maxBlock {
		w.err = cmpErr(w.err, fmt.Errorf("one event takes %d MiB, and %d are the most", len(raw)>>20, maxBlock>>20))
	}
	packed := w.zipped.Bytes()
	out = append(out, kind)
	out = binary.AppendUvarint(out, uint64(len(raw)))
	out = binary.AppendUvarint(out, uint64(len(packed)))
	out = append(out, packed...)
	return binary.LittleEndian.AppendUint32(out, crc32.Checksum(packed, castagnoli))
}

// Bytes is the whole log so far. More may be appended afterwards.
func (w *Writer) Bytes() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.close()
	head, event := shapes()
	b := newBlock(head.names)
	head.coder.write(b, reflect.ValueOf(&w.head).Elem())
	w.err = cmpErr(w.err, b.err)
	out := append(make([]byte, 0, len(w.frames)+8<<10), magic+version...)
	out = w.frame(out, frameColumns, []byte(strings.Join(head.names, "\n")+"\n\n"+strings.Join(event.names, "\n")))
	out = w.frame(out, frameHead, b.pack(nil))
	out = append(out, w.frames...)
	return w.frame(out, frameEnd, binary.AppendUvarint(nil, uint64(w.total)))
}

// Recording is what the log says so far, under a newer head, read back from its bytes: what a run's report is computed
// from is then what anybody can compute it from again.
func (w *Writer) Recording(head drill.Recording) (drill.Recording, error) {
	w.mu.Lock()
	head.Events = nil
	w.head = head
	w.mu.Unlock()
	rec, err := Read(w.Bytes())
	w.mu.Lock()
	defer w.mu.Unlock()
	return rec, cmpErr(w.err, err)
}

// Read opens a log. Its events are decoded as they are walked through, block by block, as often as one likes; that they
// can be is made sure of first.
func Read(raw []byte) (drill.Recording, error) {
	l, err := open(raw)
	if err != nil {
		return drill.Recording{}, fmt.Errorf("read a run's detail: %w", err)
	}
	n := 0
	err = l.walk(func(drill.Event) bool { n++; return true })
	if err == nil && uint64(n) != l.total {
		err = fmt.Errorf("%w: %d of its %d events are there", errNotWhole, n, l.total)
	}
	if err != nil {
		return drill.Recording{}, fmt.Errorf("read a run's detail: %w", err)
	}
	rec := l.head
	rec.Events = iter.Seq[drill.Event](func(yield func(drill.Event) bool) {
		_ = l.walk(yield) // it has been walked through
	})
	return rec, nil
}
