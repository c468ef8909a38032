package drill

// Stall is a stretch in which this process did not run, as far as its own heartbeat tells. Whatever came in meanwhile
// lay unread, so a slow answer may have been a quick one.
type Stall struct {
	From, To Offset
	// Slept says that the whole machine slept: the run's clock stood still, nobody knows for how long.
	Slept bool
}

// Sampling is what a sampler works with.
type Sampling struct {
	Clock  Clock
	Probes []Probe
	// Measure is closed when the probes' own rates begin; until then they are sampled at an idle rate. nil: at once.
	Measure <-chan struct{}
	// Sample is handed each slot as soon as its outcome is known, from one goroutine at a time.
	Sample func(Sample)
	// Stall is told when this process did not run. nil: nobody watches.
	Stall func(Stall)
}
