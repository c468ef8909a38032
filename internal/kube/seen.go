package kube

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// AnnotationSeen is the UID of the record in which a server first saw it. A backup keeps it and gives the record that it
// restores a new UID, so a record whose annotation names another UID is a copy of one that was handled before.
const AnnotationSeen = "failoverdrill.io/seen"

// MarkSeen notes on the record that a server has seen it, before anything of it is read. It fails with a conflict when
// the record changed since it was read.
func (s *Runs) MarkSeen(ctx context.Context, run *DrillRun) error {
	if run.Annotations[AnnotationSeen] == string(run.UID) {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"annotations": map[string]string{AnnotationSeen: string(run.UID)}, "resourceVersion": run.ResourceVersion}})
	if err != nil {
		return fmt.Errorf("encode that run %s was seen: %w", run.Name, err)
	}
	marked, err := s.records.Patch(ctx, run.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: ManagedBy})
	if err != nil {
		return fmt.Errorf("note that run %s was seen: %w", run.Name, err)
	}
	run.ResourceVersion = marked.GetResourceVersion()
	set(&run.Annotations, AnnotationSeen, string(run.UID))
	return nil
}
