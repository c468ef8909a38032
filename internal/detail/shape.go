package detail

import (
	"encoding"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/failoverdrill/drill/internal/drill"
)

// coder writes values of one type into the columns of a block, and reads them again.
type coder interface {
	write(b *block, v reflect.Value)
	// read fills in v. What did not fit is the block's err; the value is worth nothing then.
	read(b *block, v reflect.Value)
}

// A column is named after the path of fields that leads to it, with a mark where it says how many there are.
const (
	markPresent = "?" // of a pointer
	markLength  = "#" // of a list or a map; 0 is nil
	markKey     = "[key]"
	markElement = "[]"
	textsName   = "texts"
)

// Fields that are told in a way of their own. All others are told as the difference from the one before.
var (
	// steady are the integers of which each probe has an even series.
	steady = []string{"Seq", "Samples[].Slot", "Samples[].Scheduled"}
	// relative are told against another field of the same record.
	relative = map[string]string{"Samples[].Sent": "Scheduled", "Samples[].Done": "Sent"}
	// keyed are the texts after which the fields of a record are told apart.
	keyed = []string{"Samples[].Probe"}
)

// leftOut is what follows from the rest (the report), or is the rest (the events).
var leftOut = []reflect.Type{reflect.TypeFor[*drill.Report](), reflect.TypeFor[iter.Seq[drill.Event]]()}

// shaper makes the coder of a type. It goes through the type alone, so that a new field is coded without a line here.
type shaper struct {
	names []string // of the columns
	// stored are the columns of a log that is to be read, by name; nil makes columns as they are needed. A field without
	// one was not there yet when the log was written, and stays as it is.
	stored map[string]int
	used   map[string]bool
}

// shapeOf is the coder of a type and its columns.
func shapeOf(t reflect.Type) (coder, []string, error) {
	s := &shaper{names: []string{textsName}}
	c, err := s.coder(t, "")
	return c, s.names, err
}

// shapeFor is the coder that reads a type from a log with these columns.
func shapeFor(t reflect.Type, names []string) (coder, error) {
	if len(names) == 0 || names[textColumn] != textsName {
		return nil, fmt.Errorf("it has no texts")
	}
	s := &shaper{stored: map[string]int{}, used: map[string]bool{textsName: true}}
	for i, name := range names {
		s.stored[name] = i
	}
	c, err := s.coder(t, "")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if !s.used[name] {
			return nil, fmt.Errorf("it holds %s, of which this version of drill knows nothing; a newer one wrote it", name)
		}
	}
	if c == nil {
		return nil, fmt.Errorf("it holds nothing that this version of drill knows")
	}
	return c, nil
}

func (s *shaper) column(name string) (int, bool) {
	if s.stored == nil {
		s.names = append(s.names, name)
		return len(s.names) - 1, true
	}
	i, ok := s.stored[name]
	s.used[name] = ok
	return i, ok
}

var (
	marshaler   = reflect.TypeFor[encoding.BinaryMarshaler]()
	unmarshaler = reflect.TypeFor[encoding.BinaryUnmarshaler]()
)

// coder is nil, without an error, where the log has no such columns.
func (s *shaper) coder(t reflect.Type, path string) (coder, error) {
	if t.Implements(marshaler) && reflect.PointerTo(t).Implements(unmarshaler) {
		return leaf(s, path, func(i int) coder { return binaries{i} })
	}
	switch t.Kind() {
	case reflect.Int, reflect.Int64, reflect.Int32:
		if _, ok := relative[path]; ok {
			return leaf(s, path, func(i int) coder { return relatives{i} })
		}
		return leaf(s, path, func(i int) coder { return integers{i, slices.Contains(steady, path)} })
	case reflect.Float64:
		return leaf(s, path, func(i int) coder { return floats{i} })
	case reflect.Bool:
		return leaf(s, path, func(i int) coder { return booleans{i} })
	case reflect.String:
		return leaf(s, path, func(i int) coder { return texts{i, slices.Contains(keyed, path)} })
	case reflect.Struct:
		return s.record(t, path)
	case reflect.Pointer:
		return s.composite(path+markPresent, t.Elem(), path, func(i int, of coder) coder { return pointers{i, of} })
	case reflect.Slice:
		return s.composite(path+markLength, t.Elem(), path+markElement, func(i int, of coder) coder { return lists{i, of} })
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			break
		}
		key, err := s.coder(t.Key(), path+markKey)
		if err != nil {
			return nil, err
		}
		return s.composite(path+markLength, t.Elem(), path+markElement, func(i int, of coder) coder { return tables{i, key, of} })
	}
	return nil, fmt.Errorf("%s is a %s, which is not coded", path, t)
}

// leaf is the coder of one column.
func leaf(s *shaper, name string, of func(column int) coder) (coder, error) {
	if i, ok := s.column(name); ok {
		return of(i), nil
	}
	return nil, nil
}

func (s *shaper) composite(name string, t reflect.Type, path string, of func(column int, element coder) coder) (coder, error) {
	i, ok := s.column(name)
	element, err := s.coder(t, path)
	if err != nil || !ok && element == nil {
		return nil, err
	}
	if !ok || element == nil {
		return nil, fmt.Errorf("it holds %s in part only", path)
	}
	return of(i, element), nil
}

func (s *shaper) record(t reflect.Type, path string) (coder, error) {
	var r records
	for i := range t.NumField() {
		f := t.Field(i)
		if slices.Contains(leftOut, f.Type) {
			continue
		}
		if !f.IsExported() {
			return nil, fmt.Errorf("%s.%s is not exported, and so cannot be coded", t, f.Name)
		}
		at := strings.TrimPrefix(path+"."+f.Name, ".")
		c, err := s.coder(f.Type, at)
		if err != nil {
			return nil, err
		}
		if c == nil {
			continue
		}
		base := -1
		if name, ok := relative[at]; ok {
			other, _ := t.FieldByName(name)
			base = other.Index[0]
		}
		r = append(r, part{i, base, c})
	}
	if len(r) == 0 {
		return nil, nil
	}
	return r, nil
}

// The coders, one for each kind of type.
type (
	integers struct {
		column int
		steady bool
	}
	relatives struct{ column int }
	floats    struct{ column int }
	booleans  struct{ column int }
	binaries  struct{ column int }
	texts     struct {
		column int
		key    bool
	}
	pointers struct {
		column int
		of     coder
	}
	lists struct {
		column int
		of     coder
	}
	tables struct {
		column  int
		key, of coder
	}
	records []part
)

// part is one field of a record.
type part struct {
	index int
	base  int // the field that it is told against; -1 when none
	coder coder
}

func (c integers) write(b *block, v reflect.Value)  { b.putInteger(c.column, v.Int(), c.steady) }
func (c integers) read(b *block, v reflect.Value)   { v.SetInt(b.takeInteger(c.column, c.steady)) }
func (c relatives) write(b *block, v reflect.Value) { b.putRelative(c.column, v.Int()) }
func (c relatives) read(b *block, v reflect.Value)  { v.SetInt(b.takeRelative(c.column)) }
func (c floats) write(b *block, v reflect.Value)    { b.putFloat(c.column, v.Float()) }
func (c floats) read(b *block, v reflect.Value)     { v.SetFloat(b.takeFloat(c.column)) }

func (c booleans) write(b *block, v reflect.Value) {
	var n uint64
	if v.Bool() {
		n = 1
	}
	b.put(c.column, n)
}

func (c booleans) read(b *block, v reflect.Value) { v.SetBool(b.take(c.column) == 1) }

func (c texts) write(b *block, v reflect.Value) {
	b.putText(c.column, v.String())
	if c.key {
		b.context = contextOf(b.known[v.String()])
	}
}

func (c texts) read(b *block, v reflect.Value) {
	s, n := b.takeText(c.column)
	v.SetString(s)
	if c.key {
		b.context = contextOf(n)
	}
}

// contextOf leaves 0 for what belongs to no probe.
func contextOf(text int) int { return 1 + text%(contexts-1) }

func (c binaries) write(b *block, v reflect.Value) {
	raw, err := v.Interface().(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil && b.err == nil {
		b.err = fmt.Errorf("code %s: %w", b.names[c.column], err)
	}
	b.putText(c.column, string(raw))
}

func (c binaries) read(b *block, v reflect.Value) {
	s, _ := b.takeText(c.column)
	if b.err != nil {
		return
	}
	if err := v.Addr().Interface().(encoding.BinaryUnmarshaler).UnmarshalBinary([]byte(s)); err != nil {
		b.err = fmt.Errorf("read %s: %w", b.names[c.column], err)
	}
}

func (c pointers) write(b *block, v reflect.Value) {
	if v.IsNil() {
		b.put(c.column, 0)
		return
	}
	b.put(c.column, 1)
	c.of.write(b, v.Elem())
}

func (c pointers) read(b *block, v reflect.Value) {
	if b.take(c.column) == 0 || b.err != nil {
		return
	}
	v.Set(reflect.New(v.Type().Elem()))
	c.of.read(b, v.Elem())
}

func (c lists) write(b *block, v reflect.Value) {
	if v.IsNil() {
		b.put(c.column, 0)
		return
	}
	b.put(c.column, 1+uint64(v.Len()))
	for i := range v.Len() {
		c.of.write(b, v.Index(i))
	}
}

// mostAtOnce bounds what is made room for on the word of a length alone: what lies behind it may be missing.
const mostAtOnce = 1024

func (c lists) read(b *block, v reflect.Value) {
	n := b.take(c.column)
	if n == 0 || b.err != nil {
		return
	}
	n--
	v.Set(reflect.MakeSlice(v.Type(), 0, int(min(n, mostAtOnce))))
	for i := uint64(0); i < n && b.err == nil; i++ {
		if v.Len() == v.Cap() {
			v.Grow(int(min(n-i, uint64(v.Len()))))
		}
		v.SetLen(int(i) + 1)
		c.of.read(b, v.Index(int(i)))
	}
}

func (c tables) write(b *block, v reflect.Value) {
	if v.IsNil() {
		b.put(c.column, 0)
		return
	}
	b.put(c.column, 1+uint64(v.Len()))
	byName := map[string]reflect.Value{}
	for _, key := range v.MapKeys() {
		byName[key.String()] = key
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		c.key.write(b, byName[name])
		c.of.write(b, v.MapIndex(byName[name]))
	}
}

func (c tables) read(b *block, v reflect.Value) {
	n := b.take(c.column)
	if n == 0 || b.err != nil {
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for range n - 1 {
		key, element := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		c.key.read(b, key)
		c.of.read(b, element)
		if b.err != nil {
			return
		}
		v.SetMapIndex(key, element)
	}
}

func (c records) write(b *block, v reflect.Value) {
	outer := b.context
	for _, p := range c {
		if p.base >= 0 {
			b.base = v.Field(p.base).Int()
		}
		p.coder.write(b, v.Field(p.index))
	}
	b.context = outer
}

func (c records) read(b *block, v reflect.Value) {
	outer := b.context
	for _, p := range c {
		if p.base >= 0 {
			b.base = v.Field(p.base).Int()
		}
		p.coder.read(b, v.Field(p.index))
	}
	b.context = outer
}
