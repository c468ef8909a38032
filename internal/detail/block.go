package detail

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// contexts bounds how many probes are told apart in one block. More of them share, which costs size and nothing else.
const contexts = 1024

// block is a stretch of values as columns: one for each field, so that what is alike lies together. Every block stands
// for itself; texts are in it once, and later by number.
type block struct {
	names   []string // of the columns
	columns []column
	texts   []string
	known   map[string]int // when writing: the texts' numbers
	context int            // whose values come next: a probe's, or 0
	base    int64          // what the next relative integer is told against
	err     error          // when reading: the first thing that did not fit
}

// textColumn holds the texts themselves; every other column of texts holds their numbers.
const textColumn = 0

// column is the coded values of one field. When writing they grow; when reading they are what is left.
type column struct {
	// Numbers are split by their bytes: the low ones of a time are noise, the high ones hardly change, and a compressor
	// finds that only when they lie apart.
	planes [][]byte
	last   []memory // by context
}

// memory is what was written last in one context.
type memory struct{ value, step int64 }

// maxPlanes is one plane for each byte of a number, after the plane of lengths.
const maxPlanes = 1 + 8

func newBlock(names []string) *block {
	return &block{names: names, columns: make([]column, len(names)), known: map[string]int{}}
}

// reset makes room for the next stretch, in the same memory.
func (b *block) reset() {
	for i := range b.columns {
		c := &b.columns[i]
		for j := range c.planes {
			c.planes[j] = c.planes[j][:0]
		}
		clear(c.last)
	}
	clear(b.texts)
	b.texts, b.context, b.base = b.texts[:0], 0, 0
	clear(b.known)
}

// memory is what the column held last for the present context.
func (b *block) memory(i int) *memory {
	c := &b.columns[i]
	for b.context >= len(c.last) {
		c.last = append(c.last, memory{})
	}
	return &c.last[b.context]
}

// put writes a number: how many bytes it has, and each of them into its plane.
func (b *block) put(i int, v uint64) {
	c := &b.columns[i]
	n := (bits.Len64(v) + 7) / 8
	for len(c.planes) < 1+n {
		c.planes = append(c.planes, nil)
	}
	c.planes[0] = append(c.planes[0], byte(n))
	for k := range n {
		c.planes[1+k] = append(c.planes[1+k], byte(v>>(8*k)))
	}
}

// take reads a number; 0 once something did not fit.
func (b *block) take(i int) uint64 {
	c := &b.columns[i]
	n, ok := c.next(0)
	if !ok || n > 8 {
		b.fail(i)
		return 0
	}
	var v uint64
	for k := range int(n) {
		octet, ok := c.next(1 + k)
		if !ok {
			b.fail(i)
			return 0
		}
		v |= uint64(octet) << (8 * k)
	}
	return v
}

func (c *column) next(plane int) (byte, bool) {
	if plane >= len(c.planes) || len(c.planes[plane]) == 0 {
		return 0, false
	}
	octet := c.planes[plane][0]
	c.planes[plane] = c.planes[plane][1:]
	return octet, true
}

func (b *block) fail(i int) {
	if b.err == nil {
		b.err = fmt.Errorf("the values of %s end early", b.names[i])
	}
}

// putText writes a text's number, and the text itself where it is new.
func (b *block) putText(i int, s string) {
	n, ok := b.known[s]
	if !ok {
		n = len(b.texts)
		b.known[s], b.texts = n, append(b.texts, s)
	}
	b.put(i, uint64(n))
	if ok {
		return
	}
	b.put(textColumn, uint64(len(s)))
	c := &b.columns[textColumn]
	for len(c.planes) < maxPlanes+1 {
		c.planes = append(c.planes, nil)
	}
	c.planes[maxPlanes] = append(c.planes[maxPlanes], s...)
}

// takeText reads a text and its number.
func (b *block) takeText(i int) (string, int) {
	n := b.take(i)
	switch {
	case b.err != nil:
		return "", 0
	case n < uint64(len(b.texts)):
		return b.texts[n], int(n)
	case n > uint64(len(b.texts)):
		b.fail(i)
		return "", 0
	}
	size := b.take(textColumn)
	c := &b.columns[textColumn]
	if b.err != nil || len(c.planes) <= maxPlanes || size > uint64(len(c.planes[maxPlanes])) {
		b.fail(textColumn)
		return "", 0
	}
	s := string(c.planes[maxPlanes][:size])
	c.planes[maxPlanes] = c.planes[maxPlanes][size:]
	b.texts = append(b.texts, s)
	return s, int(n)
}

// pack writes the block out, before it is compressed: every column with its planes.
func (b *block) pack(out []byte) []byte {
	for _, c := range b.columns {
		out = append(out, byte(len(c.planes)))
		for _, p := range c.planes {
			out = binary.AppendUvarint(out, uint64(len(p)))
		}
	}
	for _, c := range b.columns {
		for _, p := range c.planes {
			out = append(out, p...)
		}
	}
	return out
}

var errNotWhole = errors.New("it is not whole")

// unpack reads what pack wrote. The columns lie in raw.
func unpack(names []string, raw []byte) (*block, error) {
	b := &block{names: names, columns: make([]column, len(names))}
	lengths := make([][]uint64, len(names))
	for i := range names {
		if len(raw) == 0 || raw[0] > maxPlanes+1 {
			return nil, errNotWhole
		}
		lengths[i] = make([]uint64, raw[0])
		raw = raw[1:]
		for j := range lengths[i] {
			n, size := binary.Uvarint(raw)
			if size <= 0 {
				return nil, errNotWhole
			}
			lengths[i][j], raw = n, raw[size:]
		}
	}
	for i := range names {
		for _, n := range lengths[i] {
			if n > uint64(len(raw)) {
				return nil, errNotWhole
			}
			b.columns[i].planes = append(b.columns[i].planes, raw[:n])
			raw = raw[n:]
		}
	}
	if len(raw) > 0 {
		return nil, errNotWhole
	}
	return b, nil
}

// finished reports that everything in the block was read.
func (b *block) finished() error {
	if b.err != nil {
		return b.err
	}
	for i, c := range b.columns {
		for _, p := range c.planes {
			if len(p) > 0 {
				return fmt.Errorf("values of %s are left over", b.names[i])
			}
		}
	}
	return nil
}

// zigzag makes small numbers of both signs small.
func zigzag(v int64) uint64 { return uint64(v)<<1 ^ uint64(v>>63) }

func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// Integers are told as the difference from the one before in the same context, or from where a steady series would be.

func (b *block) putInteger(i int, v int64, steady bool) {
	m := b.memory(i)
	b.put(i, zigzag(v-m.expected(steady)))
	m.note(v)
}

func (b *block) takeInteger(i int, steady bool) int64 {
	m := b.memory(i)
	v := m.expected(steady) + unzigzag(b.take(i))
	m.note(v)
	return v
}

func (m *memory) expected(steady bool) int64 {
	if steady {
		return m.value + m.step
	}
	return m.value
}

func (m *memory) note(v int64) { m.step, m.value = v-m.value, v }

// Relative integers are told against another field of the same record. 0 stands for "none" there, and has the shortest
// code whatever the other field is; the code that this takes away is the one that 0 would have had.

func (b *block) putRelative(i int, v int64) {
	code, none := zigzag(v-b.base), zigzag(-b.base)
	switch {
	case code == none:
		code = 0
	case code < none:
		code++
	}
	b.put(i, code)
}

func (b *block) takeRelative(i int) int64 {
	code, none := b.take(i), zigzag(-b.base)
	switch {
	case code == 0:
		return 0
	case code <= none:
		code--
	}
	return b.base + unzigzag(code)
}

// Floats are told by the bits in which they differ from the one before; a round number has few.

func (b *block) putFloat(i int, v float64) {
	m := b.memory(i)
	now := math.Float64bits(v)
	b.put(i, bits.ReverseBytes64(now^uint64(m.value)))
	m.value = int64(now)
}

func (b *block) takeFloat(i int) float64 {
	m := b.memory(i)
	now := bits.ReverseBytes64(b.take(i)) ^ uint64(m.value)
	m.value = int64(now)
	return math.Float64frombits(now)
}
