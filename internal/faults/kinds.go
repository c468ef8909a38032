package faults

// Kinds lists every fault that a drill file may use.
func Kinds() []Kind { return []Kind{killPrimary(), podKill(), networkPartition()} }

// Find returns the kind of that name.
func Find(name string) (Kind, bool) {
	for _, k := range Kinds() {
		if k.Name == name {
			return k, true
		}
	}
	return Kind{}, false
}
