package drill

// Comparison says whether the runs of one set do worse than those of another.
type Comparison struct {
	FormatVersion string           `json:"format_version"`
	Result        ComparisonResult `json:"result"`
	Text          []string         `json:"text"` // the result in sentences
	Base          RunSet           `json:"base"`
	New           RunSet           `json:"new"`
	Recovery      *RankTest        `json:"recovery,omitempty"`
	Failures      *FisherTest      `json:"failures,omitempty"`
	LostWrites    *RankTest        `json:"lost_writes,omitempty"`
	Tests         int              `json:"tests"` // among so many the 5 % of false alarms are divided
}

// ComparisonResult is what a comparison comes to.
type ComparisonResult string

// The results of a comparison.
const (
	ComparedRegression ComparisonResult = "regression"
	ComparedNoEvidence ComparisonResult = "no_evidence" // of a regression; it may still be there, if it is small
	ComparedTooLittle  ComparisonResult = "too_little"  // so few runs that no difference could be told from chance
)

// RunSet is one side of a comparison.
type RunSet struct {
	Name       string            `json:"name"` // as it was asked for
	Drills     []string          `json:"drills"`
	Runs       []string          `json:"runs"`
	Statistics *StatisticsReport `json:"statistics,omitempty"`
	Measured   int               `json:"measured"` // passed, failed or aborted
	Failed     int               `json:"failed"`   // failed or aborted
	LostWrites *int              `json:"lost_writes,omitempty"`
	LostIn     int               `json:"lost_in"` // so many runs lost writes
}

// RankTest asks whether the values of the new set tend to be larger than those of the base (Mann and Whitney).
type RankTest struct {
	BaseN int     `json:"base_n"`
	NewN  int     `json:"new_n"`
	U     float64 `json:"u"`
	// P is how often chance alone makes the new set look at least this much worse.
	P         float64 `json:"p"`
	SmallestP float64 `json:"smallest_p"` // the least that so many values can give
	Exact     bool    `json:"exact"`      // by every arrangement of the ranks, and not by the normal approximation
	Worse     float64 `json:"probability_worse"`

	// Of recovery times alone.
	MedianDifference *Seconds `json:"median_difference_seconds,omitempty"`
	Shift            *Seconds `json:"shift_seconds,omitempty"`           // by Hodges and Lehmann
	ShiftBounds      *Bounds  `json:"shift_bounds_95_seconds,omitempty"` // absent when there are too few runs for it
	Resolution       *Seconds `json:"resolution_seconds,omitempty"`      // half the typical error bar of one run
}

// FisherTest asks whether the new set fails more often.
type FisherTest struct {
	P         float64 `json:"p"`
	SmallestP float64 `json:"smallest_p"`
}
