package drill

import (
	"iter"
	"time"
)

// Recording is one run as it happened: enough to compute its report, again and again.
type Recording struct {
	Run        RunReport // without verdict and reasons
	Objectives []Objective
	Settings   Settings
	Earlier    []Trial         // of the same series, the first one first; the statistics cover them, too
	Source     string          // SHA-256 of the drill file's text, in hexadecimal; empty when it is not known
	Events     iter.Seq[Event] // in the order of the stream; it may be walked through more than once
}

// DefaultBlip is Settings.Blip where the drill says nothing (MEASURING.md, "Probing is open loop").
const DefaultBlip = 250 * time.Millisecond

// Settings are the rules by which a run is measured.
type Settings struct {
	// Window is the length of the stretch without a down slot whose start is the recovery.
	Window time.Duration
	// ImpactTimeout is how long after the fault a late impact is waited for.
	ImpactTimeout time.Duration
	// Blip is the longest stretch without a timely answer that is no outage; 0 means DefaultBlip.
	Blip time.Duration
	// RedundancyLag is the lag in seconds under which a replica counts as caught up.
	RedundancyLag float64
	// NoLedger says that the target takes no writes of drill's: clients are the drill's first probe, and there is no
	// lag and no primary. Redundancy is as many ready endpoints as are desired.
	NoLedger bool
}
