package drillfile

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// rootBlocks is the top of a drill file.
type rootBlocks struct {
	Drills []drillBlock `hcl:"drill,block"`
}

type drillBlock struct {
	Name         string           `hcl:"name,label"`
	NameRange    hcl.Range        `hcl:"name,label_range"`
	DefRange     hcl.Range        `hcl:",def_range"`
	Description  *string          `hcl:"description,optional"`
	Timeout      *string          `hcl:"timeout,optional"`
	TimeoutRange hcl.Range        `hcl:"timeout,attr_value_range"`
	Repeat       *int             `hcl:"repeat,optional"`
	RepeatRange  hcl.Range        `hcl:"repeat,attr_value_range"`
	Stagger      *string          `hcl:"stagger,optional"`
	StaggerRange hcl.Range        `hcl:"stagger,attr_value_range"`
	Targets      []kindBlock      `hcl:"target,block"`
	Probes       []kindBlock      `hcl:"probe,block"`
	SteadyState  *steadyBlock     `hcl:"steady_state,block"`
	Faults       []kindBlock      `hcl:"fault,block"`
	Aborts       []abortBlock     `hcl:"abort,block"`
	Objectives   *objectivesBlock `hcl:"objectives,block"`
	Schedule     *scheduleBlock   `hcl:"schedule,block"`
	Body         hcl.Body         `hcl:",body"`
}

// kindBlock is a target, a probe or a fault: two labels, and a body that its kind reads.
type kindBlock struct {
	Kind      string    `hcl:"kind,label"`
	KindRange hcl.Range `hcl:"kind,label_range"`
	Name      string    `hcl:"name,label"`
	NameRange hcl.Range `hcl:"name,label_range"`
	DefRange  hcl.Range `hcl:",def_range"`
	Body      hcl.Body  `hcl:",remain"`
}

type steadyBlock struct {
	Hold         *string       `hcl:"hold,optional"`
	HoldRange    hcl.Range     `hcl:"hold,attr_value_range"`
	Timeout      *string       `hcl:"timeout,optional"`
	TimeoutRange hcl.Range     `hcl:"timeout,attr_value_range"`
	DefRange     hcl.Range     `hcl:",def_range"`
	Asserts      []assertBlock `hcl:"assert,block"`
}

// Conditions and messages stay expressions. They are required, but as pointers, so that their absence is said once.
type assertBlock struct {
	Condition    *hcl.Attribute `hcl:"condition"`
	ErrorMessage *hcl.Attribute `hcl:"error_message"`
	DefRange     hcl.Range      `hcl:",def_range"`
}

type abortBlock struct {
	Name         string         `hcl:"name,label"`
	NameRange    hcl.Range      `hcl:"name,label_range"`
	Condition    *hcl.Attribute `hcl:"condition"`
	For          *string        `hcl:"for,optional"`
	ForRange     hcl.Range      `hcl:"for,attr_value_range"`
	ErrorMessage *hcl.Attribute `hcl:"error_message"`
	DefRange     hcl.Range      `hcl:",def_range"`
}

type objectivesBlock struct {
	RecoveryTime        *string       `hcl:"recovery_time,optional"`
	RecoveryTimeRange   hcl.Range     `hcl:"recovery_time,attr_value_range"`
	RedundancyTime      *string       `hcl:"redundancy_time,optional"`
	RedundancyTimeRange hcl.Range     `hcl:"redundancy_time,attr_value_range"`
	LostWrites          *int          `hcl:"lost_writes,optional"`
	LostWritesRange     hcl.Range     `hcl:"lost_writes,attr_value_range"`
	DualPrimary         *string       `hcl:"dual_primary,optional"`
	DualPrimaryRange    hcl.Range     `hcl:"dual_primary,attr_value_range"`
	ReplicationLag      *string       `hcl:"replication_lag,optional"`
	ReplicationLagRange hcl.Range     `hcl:"replication_lag,attr_value_range"`
	LeaderChanges       *int          `hcl:"leader_changes,optional"`
	LeaderChangesRange  hcl.Range     `hcl:"leader_changes,attr_value_range"`
	ReadOutage          *string       `hcl:"read_outage,optional"`
	ReadOutageRange     hcl.Range     `hcl:"read_outage,attr_value_range"`
	Staleness           *string       `hcl:"staleness,optional"`
	StalenessRange      hcl.Range     `hcl:"staleness,attr_value_range"`
	MonotonicReads      *int          `hcl:"monotonic_read_violations,optional"`
	MonotonicReadsRange hcl.Range     `hcl:"monotonic_read_violations,attr_value_range"`
	ReadYourWrites      *int          `hcl:"read_your_writes_violations,optional"`
	ReadYourWritesRange hcl.Range     `hcl:"read_your_writes_violations,attr_value_range"`
	Sum                 *int          `hcl:"sum_violations,optional"`
	SumRange            hcl.Range     `hcl:"sum_violations,attr_value_range"`
	Register            *int          `hcl:"register_violations,optional"`
	RegisterRange       hcl.Range     `hcl:"register_violations,attr_value_range"`
	Asserts             []assertBlock `hcl:"assert,block"`
}

type scheduleBlock struct {
	Cron          *string   `hcl:"cron,optional"` // its absence is reported where it is read
	CronRange     hcl.Range `hcl:"cron,attr_value_range"`
	Timezone      *string   `hcl:"timezone,optional"`
	TimezoneRange hcl.Range `hcl:"timezone,attr_value_range"`
	Missed        *string   `hcl:"missed,optional"`
	MissedRange   hcl.Range `hcl:"missed,attr_value_range"`
	Jitter        *string   `hcl:"jitter,optional"`
	JitterRange   hcl.Range `hcl:"jitter,attr_value_range"`
	Window        []string  `hcl:"window,optional"`
	WindowRange   hcl.Range `hcl:"window,attr_value_range"`
	Blackout      []string  `hcl:"blackout,optional"`
	BlackoutRange hcl.Range `hcl:"blackout,attr_value_range"`
	DefRange      hcl.Range `hcl:",def_range"`
}

// count is the number of blocks of a type, also of those with the wrong number of labels.
func count(body *hclsyntax.Body, blockType string) int {
	n := 0
	for _, b := range body.Blocks {
		if b.Type == blockType {
			n++
		}
	}
	return n
}
