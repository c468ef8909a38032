package cli

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/failoverdrill/drill/internal/child"
	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/server"
)

// reader reads requesters' files for the server, and never in the server's own process: see design/014.
type reader struct {
	worker *child.Worker
	log    io.Writer

	mu    sync.Mutex
	kept  map[[sha256.Size]byte]readResult
	order [][sha256.Size]byte // of kept, the oldest first
	size  int
}

type readResult struct {
	answer readAnswer
	err    error
	size   int
}

// The bounds of the answers that are kept: so many, and so many bytes of them. A small file's takes half a kilobyte.
const (
	maxKept      = 1024
	maxKeptBytes = 4 << 20
)

func newReader(worker *child.Worker, log io.Writer) *reader {
	return &reader{worker: worker, log: log, kept: map[[sha256.Size]byte]readResult{}}
}

// read asks a reader, unless the same was asked before. Of a file that ended its reader that is kept as well, except for
// runs: the record counts their attempts.
func (r *reader) read(ctx context.Context, task readTask) (readAnswer, error) {
	raw, err := json.Marshal(task)
	if err != nil {
		return readAnswer{}, fmt.Errorf("ask a reader: %w", err)
	}
	key := sha256.Sum256(raw)
	r.mu.Lock()
	known, ok := r.kept[key]
	r.mu.Unlock()
	if ok {
		return known.answer, known.err
	}
	out, err := r.worker.Do(ctx, raw)
	var answer readAnswer
	if err == nil {
		if err = json.Unmarshal(out, &answer); err != nil {
			err = &child.KilledError{Why: "the reader's answer makes no sense"}
		}
	}
	killed, deadly := errors.AsType[*child.KilledError](err)
	switch {
	case deadly:
		err = &server.UnreadableError{Why: killed.Why}
	case err != nil:
		return readAnswer{}, &server.LaterError{Err: err}
	}
	if !deadly || task.Run == nil {
		r.keep(key, readResult{answer, err, len(out)})
	}
	if answer.Shown != "" {
		fmt.Fprint(r.log, answer.Shown)
	}
	return answer, err
}

func (r *reader) keep(key [sha256.Size]byte, result readResult) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.kept[key]; ok {
		return
	}
	result.answer.Shown = ""
	r.order, r.kept[key], r.size = append(r.order, key), result, r.size+result.size
	for len(r.order) > maxKept || r.size > maxKeptBytes {
		r.size -= r.kept[r.order[0]].size
		delete(r.kept, r.order[0])
		r.order = r.order[1:]
	}
}

// check is server.Options.Check.
func (r *reader) check(spec kube.Spec, in drill.Inputs) (server.Request, error) {
	answer, err := r.read(context.Background(), readTask{Run: &readRun{spec, in}})
	switch {
	case err != nil:
		return server.Request{}, err
	case answer.Problem != "":
		return server.Request{}, errors.New(answer.Problem)
	}
	return answer.Request, nil
}

// drills is server.Options.Drills.
func (r *reader) drills(from server.Source) ([]server.ScheduledDrill, kube.Inputs, error) {
	answer, err := r.read(context.Background(), readTask{Schedule: &from})
	if err != nil {
		return nil, kube.Inputs{}, err
	}
	if answer.Problem != "" {
		return nil, kube.Inputs{}, errors.New(answer.Problem)
	}
	return answer.Drills, answer.Inputs, nil
}
