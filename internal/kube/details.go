package kube

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
)

// Bounds of what is kept of a run's detail. A ConfigMap may hold 1 MiB, with everything around it.
const (
	detailPart = 900 << 10
	// MaxDetail is the longest detail that goes to the cluster: every byte of it is in etcd.
	MaxDetail = 16 << 20
	// DetailBudget is how much all details may take together, unless the server is told otherwise.
	DetailBudget = 64 << 20
	// detailWithin bounds the storing: a run's verdict waits for it.
	detailWithin = 30 * time.Second
)

const (
	componentDetail = "detail"
	detailKey       = "detail"
	annotationBytes = "failoverdrill.io/bytes"
)

// DetailRecord says where a run's detail is: in so many ConfigMaps. It is there until newer runs need the room.
type DetailRecord struct {
	SHA256  string `json:"sha256,omitempty"`
	Bytes   int64  `json:"bytes,omitempty"`
	Parts   int    `json:"parts,omitempty"`
	Problem string `json:"problem,omitempty"` // why it could not be stored
}

// Details is the store of the runs' details in one namespace. Each belongs to its run's record, and goes with it.
type Details struct {
	client    kubernetes.Interface
	metadata  metadata.Interface
	namespace string
}

// NewDetails opens the store; an empty namespace is drill's own.
func NewDetails(client *Client, namespace string) *Details {
	if namespace == "" {
		namespace = Namespace
	}
	return &Details{client: client.Interface, metadata: client.Metadata, namespace: namespace}
}

func detailName(run string, part int) string { return fmt.Sprintf("detail-%s-%d", run, part) }

// Save stores a run's detail. What comes of it belongs into the record; an error is the record's problem, too.
func (d *Details) Save(ctx context.Context, run *DrillRun, raw []byte) (DetailRecord, error) {
	record, err := d.save(ctx, run, raw)
	if err != nil {
		return DetailRecord{Problem: err.Error()}, err
	}
	return record, nil
}

func (d *Details) save(ctx context.Context, run *DrillRun, raw []byte) (DetailRecord, error) {
	if len(raw) > MaxDetail {
		return DetailRecord{}, fmt.Errorf("store the detail of run %s: it has %d KiB, and at most %d are kept in the cluster", run.Name, len(raw)>>10, MaxDetail>>10)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, detailWithin, fmt.Errorf("the cluster did not take it within %v", detailWithin))
	defer cancel()
	sum := sha256.Sum256(raw)
	record := DetailRecord{SHA256: hex.EncodeToString(sum[:]), Bytes: int64(len(raw))}
	for part := range slices.Chunk(raw, detailPart) {
		if err := d.create(ctx, run, record.Parts, part); err != nil {
			return DetailRecord{}, fmt.Errorf("store the detail of run %s: %w", run.Name, err)
		}
		record.Parts++
	}
	return record, nil
}

func (d *Details) create(ctx context.Context, run *DrillRun, n int, part []byte) error {
	cm := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: detailName(run.Name, n), Namespace: d.namespace,
			Labels: map[string]string{"app.kubernetes.io/name": "drill", LabelManagedBy: ManagedBy, LabelComponent: componentDetail,
				LabelRun: run.Name},
			Annotations:     map[string]string{annotationBytes: strconv.Itoa(len(part))},
			OwnerReferences: []metav1.OwnerReference{OwnerOf(run)}},
		Immutable: new(true), BinaryData: map[string][]byte{detailKey: part},
	}
	unsure := false // an earlier attempt may have got through
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		_, err := d.client.CoreV1().ConfigMaps(d.namespace).Create(ctx, cm, metav1.CreateOptions{FieldManager: ManagedBy})
		switch {
		case err == nil, apierrors.IsAlreadyExists(err) && unsure: // the hash tells if it was another's
			return nil
		case apierrors.IsAlreadyExists(err): // the name can be foretold, and its place be taken
			return fmt.Errorf("there is a ConfigMap %s already, which is not this run's", cm.Name)
		case ctx.Err() != nil:
			return errors.Join(context.Cause(ctx), err)
		case !Retriable(err):
			return err
		}
		unsure = true
		if !sleep(ctx, pause) {
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

// Load reads the detail of a run that is over.
func (d *Details) Load(ctx context.Context, run *DrillRun) ([]byte, error) {
	record := run.Status.Detail
	switch {
	case record == nil:
		return nil, fmt.Errorf("there is no detail of run %s: it ended before it began, its runner died, or an older drill executed it", run.Name)
	case record.Problem != "":
		return nil, fmt.Errorf("there is no detail of run %s: %s", run.Name, record.Problem)
	}
	var raw []byte
	for n := range record.Parts {
		cm, err := d.client.CoreV1().ConfigMaps(d.namespace).Get(ctx, detailName(run.Name, n), metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return nil, fmt.Errorf("the detail of run %s is not in the cluster any more: newer runs needed the room", run.Name)
		case apierrors.IsForbidden(err):
			return nil, fmt.Errorf("you may not read the detail of run %s. Ask for the ClusterRole drill-requester in namespace %s: %w", run.Name, d.namespace, err)
		case err != nil:
			return nil, fmt.Errorf("read the detail of run %s: %w", run.Name, err)
		}
		raw = append(raw, cm.BinaryData[detailKey]...)
	}
	if sum := sha256.Sum256(raw); hex.EncodeToString(sum[:]) != record.SHA256 {
		return nil, fmt.Errorf("the detail of run %s is not what the run recorded: its hash is another one than the record's", run.Name)
	}
	return raw, nil
}

// shareOfRun: a detail is a long one when it takes more than this part of the budget.
const shareOfRun = 16

// kept is what is stored of one run's detail.
type kept struct {
	run     string
	created time.Time
	bytes   int64
	parts   []string
}

// Prune removes the oldest details until all take no more than the budget together. Records and totals stay. It returns
// the runs whose details it removed.
func (d *Details) Prune(ctx context.Context, budget int64) ([]string, error) {
	maps := d.metadata.Resource(corev1.SchemeGroupVersion.WithResource("configmaps")).Namespace(d.namespace)
	byRun := map[string]*kept{}
	err := eachMeta(ctx, maps, labels.Set{LabelManagedBy: ManagedBy, LabelComponent: componentDetail}.String(), func(m *metav1.PartialObjectMetadata) {
		run := m.Labels[LabelRun]
		k := byRun[run]
		if k == nil {
			k = &kept{run: run, created: m.CreationTimestamp.Time}
			byRun[run] = k
		}
		size, err := strconv.ParseInt(m.Annotations[annotationBytes], 10, 64)
		if err != nil || size < 0 {
			size = detailPart // what it may be at most
		}
		k.bytes += size
		k.parts = append(k.parts, m.Name)
		if m.CreationTimestamp.Time.Before(k.created) {
			k.created = m.CreationTimestamp.Time
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list the details of runs: %w", err)
	}
	all := make([]*kept, 0, len(byRun))
	for _, k := range byRun {
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b *kept) int { // the newest first
		return cmp.Or(b.created.Compare(a.created), cmp.Compare(b.run, a.run))
	})
	var removed []string
	for _, k := range beyond(all, budget) {
		for _, name := range k.parts {
			if err := maps.Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
				return removed, fmt.Errorf("remove the detail of run %s: %w", k.run, err)
			}
		}
		removed = append(removed, k.run)
	}
	return removed, nil
}

// beyond are the details to remove, of those that come the newest first: the oldest, but the long ones before the others
// while they take more than half of the budget. A few long ones must not push out everybody's.
func beyond(all []*kept, budget int64) (old []*kept) {
	isLong := func(k *kept) bool { return k.bytes > budget/shareOfRun }
	var total, long int64
	for _, k := range all {
		total += k.bytes
		if isLong(k) {
			long += k.bytes
		}
	}
	left := slices.Clone(all)
	for total > budget {
		i := len(left) - 1
		if short := slices.ContainsFunc(left, func(k *kept) bool { return !isLong(k) }); short && long > budget/2 {
			for !isLong(left[i]) {
				i--
			}
		}
		if isLong(left[i]) {
			long -= left[i].bytes
		}
		total -= left[i].bytes
		old = append(old, left[i])
		left = slices.Delete(left, i, i+1)
	}
	return old
}
