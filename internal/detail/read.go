package detail

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"reflect"
	"strings"

	"github.com/failoverdrill/drill/internal/drill"
)

// log is an opened log: its frames of events are still packed.
type log struct {
	head   drill.Recording
	event  coder
	names  []string // of the events' columns
	frames []frame
	total  uint64 // events, by the log's own word
}

type frame struct {
	kind   byte
	size   uint64 // unpacked
	packed []byte
}

var (
	errForeign = errors.New("this is no detail of a run")
	errCutOff  = errors.New("it ends early: something was cut off")
	errDamaged = errors.New("it is damaged: a checksum does not fit")
)

// open reads everything but the events.
func open(raw []byte) (*log, error) {
	rest, ok := strings.CutPrefix(string(raw[:min(len(raw), len(magic)+len(version))]), magic)
	if !ok {
		return nil, errForeign
	}
	if rest != version {
		return nil, fmt.Errorf("it has another format than %q, which is the one that this version of drill reads", magic+strings.TrimSpace(version))
	}
	raw = raw[len(magic)+len(version):]
	l := &log{}
	var head coder
	var names []string
	for want := byte(frameColumns); ; {
		f, after, err := cut(raw)
		if err != nil {
			return nil, err
		}
		raw = after
		switch {
		case f.kind != want && (want != frameEvents || f.kind != frameEnd):
			return nil, fmt.Errorf("%w: its parts are not in order", errNotWhole)
		case f.kind == frameEvents:
			l.frames = append(l.frames, f)
			continue
		}
		content, err := f.unpack()
		if err != nil {
			return nil, err
		}
		switch f.kind {
		case frameColumns:
			want = frameHead
			ofHead, ofEvents, _ := strings.Cut(string(content), "\n\n")
			names, l.names = strings.Split(ofHead, "\n"), strings.Split(ofEvents, "\n")
			if head, err = shapeFor(reflect.TypeFor[drill.Recording](), names); err != nil {
				return nil, err
			}
			if l.event, err = shapeFor(reflect.TypeFor[drill.Event](), l.names); err != nil {
				return nil, err
			}
		case frameHead:
			want = frameEvents
			if err := readHead(head, names, content, &l.head); err != nil {
				return nil, err
			}
		case frameEnd:
			n, size := binary.Uvarint(content)
			if size != len(content) || len(raw) > 0 {
				return nil, fmt.Errorf("%w: something follows its end", errNotWhole)
			}
			l.total = n
			return l, nil
		}
	}
}

func readHead(c coder, names []string, content []byte, head *drill.Recording) error {
	b, err := unpack(names, content)
	if err != nil {
		return err
	}
	c.read(b, reflect.ValueOf(head).Elem())
	return b.finished()
}

// cut takes the next frame off.
func cut(raw []byte) (f frame, rest []byte, err error) {
	if len(raw) == 0 {
		return f, nil, errCutOff
	}
	f.kind = raw[0]
	raw = raw[1:]
	var length uint64
	for _, n := range []*uint64{&f.size, &length} {
		v, size := binary.Uvarint(raw)
		if size <= 0 {
			return f, nil, errCutOff
		}
		*n, raw = v, raw[size:]
	}
	const sum = 4
	if length > uint64(len(raw)) || uint64(len(raw))-length < sum {
		return f, nil, errCutOff
	}
	f.packed, rest = raw[:length], raw[length:]
	if crc32.Checksum(f.packed, castagnoli) != binary.LittleEndian.Uint32(rest) {
		return f, nil, errDamaged
	}
	return f, rest[sum:], nil
}

func (f frame) unpack() ([]byte, error) {
	if f.size > maxBlock {
		return nil, fmt.Errorf("%w: a part of it claims to hold %d bytes", errNotWhole, f.size)
	}
	var content bytes.Buffer
	n, err := content.ReadFrom(io.LimitReader(flate.NewReader(bytes.NewReader(f.packed)), int64(f.size)+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotWhole, err)
	}
	if uint64(n) != f.size {
		return nil, errNotWhole
	}
	return content.Bytes(), nil
}

// walk decodes one event after the other.
func (l *log) walk(yield func(drill.Event) bool) error {
	for _, f := range l.frames {
		content, err := f.unpack()
		if err != nil {
			return err
		}
		n, size := binary.Uvarint(content)
		if size <= 0 {
			return errNotWhole
		}
		b, err := unpack(l.names, content[size:])
		if err != nil {
			return err
		}
		for range n {
			var e drill.Event
			l.event.read(b, reflect.ValueOf(&e).Elem())
			if b.err != nil {
				return b.err
			}
			if !yield(e) {
				return nil
			}
		}
		if err := b.finished(); err != nil {
			return err
		}
	}
	return nil
}
