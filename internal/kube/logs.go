package kube

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Follow calls each with every line of the log of a runner pod's own container, from its start until it has ended and the log
// is read to its end. It waits for the container to start, outlives lost connections for as long as ctx lives, and
// resumes after the last line that it delivered. A pod that is gone is an error for which apierrors.IsNotFound holds.
func Follow(ctx context.Context, client kubernetes.Interface, namespace, pod string, each func(line []byte)) error {
	f := &follower{client: client, namespace: namespace, pod: pod, each: each}
	for {
		// Asked before the log is opened: a log that is opened after the end is complete at its end.
		ended, err := f.ended(ctx)
		if err == nil {
			err = f.read(ctx)
			// A container that never ran has no log, and the kubelet calls the question bad.
			if ended && (err == nil || apierrors.IsBadRequest(err)) {
				f.flush()
				return nil
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		// While the container is being made the kubelet answers "bad request".
		if err != nil && !Retriable(err) && !apierrors.IsBadRequest(err) {
			return fmt.Errorf("follow the log of pod %s/%s: %w", namespace, pod, err)
		}
		if !sleep(ctx, 300*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
}

// follower knows where in the log it is: the time of the last line, and how many lines of that time it has delivered.
type follower struct {
	client    kubernetes.Interface
	namespace string
	pod       string
	each      func([]byte)

	last    time.Time
	atLast  int
	partial []byte // a line that the connection was cut in, or that the container did not end
}

func (f *follower) ended(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	pod, err := f.client.CoreV1().Pods(f.namespace).Get(ctx, f.pod, metav1.GetOptions{})
	if err != nil {
		return false, fmt.Errorf("read pod %s/%s: %w", f.namespace, f.pod, err)
	}
	return RunnerEnded(pod), nil
}

func (f *follower) read(ctx context.Context) error {
	options := &corev1.PodLogOptions{Container: RunnerContainer, Follow: true, Timestamps: true}
	if !f.last.IsZero() {
		// Whole seconds only, so the lines of that second come again.
		since := metav1.NewTime(f.last.Truncate(time.Second))
		options.SinceTime = &since
	}
	stream, err := f.client.CoreV1().Pods(f.namespace).GetLogs(f.pod, options).Stream(ctx)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer func() { _ = stream.Close() }()
	f.partial = nil
	resumed, skip := f.last.IsZero(), f.atLast
	for r := bufio.NewReader(stream); ; {
		line, err := r.ReadBytes('\n')
		at, text, ok := stamped(bytes.TrimSuffix(line, []byte("\n")))
		switch {
		case ok && !resumed && at.Before(f.last):
			ok = false
		case ok && !resumed && at.Equal(f.last) && skip > 0:
			skip--
			ok = false
		}
		if err != nil {
			if ok {
				f.partial = bytes.Clone(text)
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("read the log: %w", err)
		}
		if !ok {
			continue
		}
		resumed = true
		if at.Equal(f.last) {
			f.atLast++
		} else {
			f.last, f.atLast = at, 1
		}
		f.each(text)
	}
}

// flush delivers a last line without an end.
func (f *follower) flush() {
	if len(f.partial) > 0 {
		f.each(f.partial)
	}
}

// stamped splits a line into the kubelet's time and the container's text.
func stamped(line []byte) (time.Time, []byte, bool) {
	stamp, text, _ := bytes.Cut(line, []byte(" "))
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	return at, text, err == nil
}
