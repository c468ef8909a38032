package measure

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/failoverdrill/drill/internal/drill"
)

func TestTraitsAreKeptOnce(t *testing.T) {
	shared := traits{}
	first := map[string]*trait{}
	for _, k := range []int{0, 1, 2, 3, 1, 0, 3, 3, 2, 0} {
		for _, probe := range []string{"a", "b"} {
			like := trait{Probe: probe, Signal: fmt.Sprint(k)}
			kept := shared.of(like)
			assert.Equal(t, like, *kept)
			if name := probe + like.Signal; first[name] == nil {
				first[name] = kept
			} else {
				assert.Same(t, first[name], kept)
			}
		}
	}
	assert.Len(t, shared["a"], 4)
}

func TestFind(t *testing.T) {
	for name, numbers := range map[string][]int64{
		"whole": {0, 1, 2, 3, 4}, "begins late": {3, 4, 5}, "with holes": {0, 1, 4, 5, 9}, "one": {7}, "none": nil,
	} {
		t.Run(name, func(t *testing.T) {
			var journal []slot
			for _, n := range numbers {
				journal = append(journal, slotOf(drill.Sample{Slot: n}))
			}
			for seq := int64(-1); seq <= 10; seq++ {
				i, ok := find(journal, seq)
				assert.Equal(t, slices.Contains(numbers, seq), ok, seq)
				if ok {
					assert.Equal(t, seq, journal[i].Slot)
				}
			}
		})
	}
}
