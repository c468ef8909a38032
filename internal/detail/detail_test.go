package detail

import (
	"encoding/binary"
	"hash/crc32"
	"iter"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// fill sets every field that there is, whatever it is called, to something that is not its zero value. What cannot be
// set fails the test: it could not be coded either.
func fill(t *testing.T, rng *rand.Rand, v reflect.Value) {
	t.Helper()
	number := func() int64 {
		n := int64(1 + rng.Uint64()>>(1+rng.IntN(63)))
		if rng.IntN(4) == 0 {
			return -n
		}
		return n
	}
	switch {
	case slices.Contains([]reflect.Type{reflect.TypeFor[*drill.Report](), reflect.TypeFor[iter.Seq[drill.Event]]()}, v.Type()):
		return // the only ones that a log does not hold
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(number()>>30, rng.Int64N(1e9)).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.Int, reflect.Int64:
		v.SetInt(number())
	case reflect.Float64:
		v.SetFloat(rng.NormFloat64())
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString([]string{"a", "bc", "orders/fresh", "ä\x00\n", strings.Repeat("long", 99)}[rng.IntN(5)])
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, rng, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1+rng.IntN(4), 9))
		for i := range v.Len() {
			fill(t, rng, v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 1 + rng.IntN(3) {
			key, element := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(t, rng, key)
			fill(t, rng, element)
			v.SetMapIndex(key, element)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			require.True(t, v.Type().Field(i).IsExported(), "%s.%s", v.Type(), v.Type().Field(i).Name)
			fill(t, rng, v.Field(i))
		}
	default:
		require.Fail(t, "a kind that this test does not know", "%s", v.Type())
	}
}

func filled(t *testing.T, seed uint64, events int) (drill.Recording, []drill.Event) {
	rng := rand.New(rand.NewPCG(seed, 0))
	var head drill.Recording
	fill(t, rng, reflect.ValueOf(&head).Elem())
	all := make([]drill.Event, events)
	for i := range all {
		fill(t, rng, reflect.ValueOf(&all[i]).Elem())
	}
	return head, all
}

func written(head drill.Recording, events []drill.Event) []byte {
	w := NewWriter(head)
	for _, e := range events {
		w.Append(e)
	}
	return w.Bytes()
}

// TestEveryFieldIsThere: a field that somebody adds, anywhere in an event or in the head, must come back.
func TestEveryFieldIsThere(t *testing.T) {
	for seed := range uint64(30) {
		head, events := filled(t, seed, 20)
		rec, err := Read(written(head, events))
		require.NoError(t, err)
		for range 2 { // as often as one likes
			require.Equal(t, events, slices.Collect(rec.Events))
		}
		rec.Events = nil
		require.Equal(t, head, rec)
	}
}

// TestNothingIsNotEmpty: what is empty and what is not there differ in the report's JSON; numbers keep their bits.
func TestNothingIsNotEmpty(t *testing.T) {
	odd := math.Float64frombits(0x7ff8_0000_dead_beef)
	numbers := []float64{0, math.Copysign(0, -1), math.NaN(), odd, math.Inf(1), math.Inf(-1), math.SmallestNonzeroFloat64, 0.1}
	var samples []drill.Sample
	for i, f := range numbers {
		samples = append(samples, drill.Sample{Probe: "p", Value: f, Reading: &drill.Reading{EngineLag: f, Seen: make([]int64, i%2)}})
	}
	edges := []drill.Offset{0, 1, -1, math.MaxInt64, math.MinInt64, 5}
	for _, a := range edges {
		for _, b := range edges {
			for _, c := range edges {
				samples = append(samples, drill.Sample{Probe: "q", Scheduled: a, Sent: b, Done: c, Slot: int64(c)})
			}
		}
	}
	events := []drill.Event{
		{Type: drill.EventViews, Views: &drill.Views{Label: []string{}, Service: nil, Member: []string{""}}},
		{Type: drill.EventSamples, Samples: []drill.Sample{}}, {}, {Type: drill.EventSamples, Samples: samples},
		{Type: drill.EventEnd, End: &drill.End{}, ReadBack: &drill.ReadBack{}},
	}
	rec, err := Read(written(drill.Recording{Objectives: []drill.Objective{}}, events))
	require.NoError(t, err)
	got := slices.Collect(rec.Events)
	for i := range numbers {
		want, have := &events[3].Samples[i], &got[3].Samples[i]
		require.Equal(t, math.Float64bits(want.Value), math.Float64bits(have.Value))
		require.Equal(t, math.Float64bits(want.Reading.EngineLag), math.Float64bits(have.Reading.EngineLag))
		want.Value, have.Value, want.Reading.EngineLag, have.Reading.EngineLag = 0, 0, 0, 0 // NaN is not equal to itself
	}
	require.Equal(t, events, got)
	require.NotNil(t, rec.Objectives)
}

func TestTheReportIsNotInIt(t *testing.T) {
	rec, err := Read(written(drill.Recording{}, []drill.Event{{Seq: 0, Type: drill.EventEnd}, {Seq: 1, Type: drill.EventReport, Report: &drill.Report{}}}))
	require.NoError(t, err)
	require.Len(t, slices.Collect(rec.Events), 1)
}

// TestABlockCanEndAnywhere: the log may be read while it is written, under a head that is known at the end only.
func TestABlockCanEndAnywhere(t *testing.T) {
	head, events := filled(t, 7, 60)
	w := NewWriter(drill.Recording{})
	for i, e := range events {
		w.Append(e)
		if i%7 == 0 {
			rec, err := Read(w.Bytes())
			require.NoError(t, err)
			require.Equal(t, events[:i+1], slices.Collect(rec.Events))
		}
	}
	head.Run.ID = "the newer one"
	rec, err := w.Recording(head)
	require.NoError(t, err)
	require.Equal(t, events, slices.Collect(rec.Events))
	require.Equal(t, "the newer one", rec.Run.ID)
	rec, err = Read(w.Bytes())
	require.NoError(t, err)
	require.Equal(t, "the newer one", rec.Run.ID, "the head that was last counts")
	for range rec.Events {
		break // who has seen enough may leave
	}
}

// TestWhatTheCallerKeepsIsTheCallers: the runner uses its batches' memory again.
func TestWhatTheCallerKeepsIsTheCallers(t *testing.T) {
	_, events := filled(t, 3, 1)
	want := events[0].Samples[0].Probe
	w := NewWriter(drill.Recording{})
	w.Append(events[0])
	events[0].Samples[0].Probe, events[0].Samples[0].Reading = "changed", nil
	rec, err := Read(w.Bytes())
	require.NoError(t, err)
	got := slices.Collect(rec.Events)
	require.Equal(t, want, got[0].Samples[0].Probe)
	require.NotNil(t, got[0].Samples[0].Reading)
}

func TestWhatIsNotWholeSaysSo(t *testing.T) {
	head, events := filled(t, 1, 4)
	for i := range events { // few bytes: each of them is damaged in turn
		events[i].Samples, events[i].Plans, events[i].Members = events[i].Samples[:1], nil, nil
	}
	w := NewWriter(head)
	for i, e := range events {
		w.Append(e)
		if i == 2 {
			_ = w.Bytes() // two blocks
		}
	}
	whole := w.Bytes()
	for i := 0; i < len(whole); i += 5 { // each takes a while with the race detector
		_, err := Read(whole[:i])
		require.ErrorContains(t, err, "read a run's detail", "cut off after %d bytes", i)
	}
	for i := 0; i < len(whole); i += 5 { // each takes a while with the race detector
		damaged := slices.Clone(whole)
		damaged[i] ^= 0x10
		_, err := Read(damaged)
		require.Error(t, err, "byte %d is wrong", i)
	}
	for text, raw := range map[string][]byte{
		"no detail":             []byte("{}"),
		"another format":        []byte("drill detail 2\nand more"),
		"ends early":            []byte(magic + version),
		"something follows":     append(slices.Clone(whole), "more"...),
		"a checksum":            slices.Replace(slices.Clone(whole), 60, 61, whole[60]+1),
		"4 of its 5 events":     ended(whole, 5),
		"4 of its 3 events":     ended(whole, 3),
		"parts are not in orde": parts(t, whole, 1, 0, 2, 3, 4),
		"is not whole":          parts(t, whole, 0, 1, 2, 4),
		"cut off":               parts(t, whole, 0, 1, 2, 3),
	} {
		_, err := Read(raw)
		require.ErrorContains(t, err, text)
	}
	_, err := Read(parts(t, whole, 0, 1, 2, 2, 4))
	require.ErrorContains(t, err, "not whole", "one part twice, and another not at all")
}

// parts puts frames together anew, with their own checksums.
func parts(t *testing.T, whole []byte, order ...int) []byte {
	t.Helper()
	raw := whole[len(magic)+len(version):]
	var frames [][]byte
	for len(raw) > 0 {
		_, rest, err := cut(raw)
		require.NoError(t, err)
		frames = append(frames, raw[:len(raw)-len(rest)])
		raw = rest
	}
	out := []byte(magic + version)
	for _, i := range order {
		out = append(out, frames[i]...)
	}
	return out
}

// ended is the log with another number of events at its end.
func ended(whole []byte, total int) []byte {
	w := NewWriter(drill.Recording{})
	last := w.frame(nil, frameEnd, []byte{4})
	return w.frame(slices.Clone(whole[:len(whole)-len(last)]), frameEnd, []byte{byte(total)})
}

// TestFieldsComeAndGo: a log that an older drill wrote lacks fields, and is read without them; one of a newer drill has
// some of which this one knows nothing, and is refused, because what it says would not be all of it.
func TestFieldsComeAndGo(t *testing.T) {
	type inner struct{ A, B int }
	type older struct {
		Name string
		Of   []inner
	}
	type newer struct {
		Name string
		Of   []inner
		More map[string]float64
		One  *inner
		When time.Time
	}
	c, names, err := shapeOf(reflect.TypeFor[older]())
	require.NoError(t, err)
	b := newBlock(names)
	c.write(b, reflect.ValueOf(older{"n", []inner{{1, 2}, {3, 4}}}))
	r, err := shapeFor(reflect.TypeFor[newer](), names)
	require.NoError(t, err)
	b, err = unpack(names, b.pack(nil))
	require.NoError(t, err)
	var got newer
	r.read(b, reflect.ValueOf(&got).Elem())
	require.NoError(t, b.finished())
	require.Equal(t, newer{Name: "n", Of: []inner{{1, 2}, {3, 4}}}, got)

	_, names, err = shapeOf(reflect.TypeFor[newer]())
	require.NoError(t, err)
	_, err = shapeFor(reflect.TypeFor[older](), names)
	require.ErrorContains(t, err, "More")
	require.ErrorContains(t, err, "a newer one wrote it")
	_, err = shapeFor(reflect.TypeFor[older](), []string{"texts", "Of#"})
	require.ErrorContains(t, err, "in part only", "or a length alone would make as many as it likes")

	for _, odd := range []any{struct{ F func() }{}, struct{ hidden int }{}, struct{ M map[int]int }{}, struct{ X any }{}} {
		_, _, err := shapeOf(reflect.TypeOf(odd))
		require.Error(t, err, "%T", odd)
	}
}

// FuzzRead: whatever is in a file, reading it ends, and without a panic.
func FuzzRead(f *testing.F) {
	t := new(testing.T)
	head, events := filled(t, 1, 3)
	w := NewWriter(head)
	w.Append(events[0])
	f.Add(w.Bytes(), true)
	f.Add([]byte(magic+version), false)
	// The content of a part, because a checksum and a compressor keep the fuzzer from getting any further.
	for i := range 3 {
		rest := w.Bytes()[len(magic)+len(version):]
		var fr frame
		for range i + 1 {
			var err error
			if fr, rest, err = cut(rest); err != nil {
				f.Fatal(err)
			}
		}
		content, err := fr.unpack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(append([]byte{fr.kind}, content...), true)
	}
	whole := w.Bytes()
	f.Fuzz(func(t *testing.T, raw []byte, content bool) {
		if content && len(raw) > 0 {
			raw = forged(whole, raw[0], raw[1:])
		}
		rec, err := Read(raw)
		if err != nil {
			return
		}
		for e := range rec.Events {
			_ = e
		}
	})
}

// forged is the log with one part's content replaced, and everything around it right.
func forged(whole []byte, kind byte, content []byte) []byte {
	w := NewWriter(drill.Recording{})
	raw := whole[len(magic)+len(version):]
	out := []byte(magic + version)
	for len(raw) > 0 {
		f, rest, err := cut(raw)
		if err != nil {
			return nil
		}
		if f.kind == kind {
			out = w.frame(out, kind, content)
		} else {
			out = append(out, raw[:len(raw)-len(rest)]...)
		}
		raw = rest
	}
	return out
}

// TestABombIsRefused: a few bytes that claim to be many must not take the memory that they claim.
func TestABombIsRefused(t *testing.T) {
	w := NewWriter(drill.Recording{})
	w.Append(drill.Event{})
	_, err := Read(forged(w.Bytes(), frameEvents, make([]byte, maxBlock+1)))
	require.ErrorContains(t, err, "claims to hold")

	zeros := w.frame(nil, frameEvents, make([]byte, 1<<20))
	lie := binary.AppendUvarint([]byte{frameEvents}, 10)
	f, _, err := cut(zeros)
	require.NoError(t, err)
	lie = append(binary.AppendUvarint(lie, uint64(len(f.packed))), f.packed...)
	lie = binary.LittleEndian.AppendUint32(lie, crc32.Checksum(f.packed, castagnoli))
	f, _, err = cut(lie)
	require.NoError(t, err)
	_, err = f.unpack()
	require.ErrorContains(t, err, "not whole")
}
