package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/schedule"
)

const (
	// finishWithin bounds the making of one run, from its intent on, also when the server is being stopped.
	finishWithin = 10 * time.Second
	// settleAfter is how long a leader waits for the run of an intent that another one wrote. By then that one has made
	// it or given up. It is less than schedule.Grace: the next due time can still be met.
	settleAfter = 2 * finishWithin
	// forgetAfter is when an intent that never got into the book can no longer get there.
	forgetAfter = 10 * time.Minute
)

var errNotSent = errors.New("no time was left to create it")

// attempt is what this server knows about one intent.
type attempt struct {
	since time.Time
	sent  bool   // a request to create the run may have been sent; always true for another server's
	run   string // the run, once it is made
	err   error  // the answer to that request
}

// savedBook is the book with what its next save must replace.
type savedBook struct {
	book    *schedule.Book
	raw     []byte
	version string
}

// open reads the book.
func (s *scheduler) open(ctx context.Context) (*savedBook, error) {
	raw, version, err := s.schedules.Book(ctx)
	if err != nil {
		return nil, err
	}
	book := new(schedule.Book)
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, book); err != nil {
			s.o.Log.Error("the book of schedules cannot be read; a new one is begun, and what was missed before is lost",
				zap.Error(err))
			book = new(schedule.Book)
		}
	}
	return &savedBook{book: book, raw: raw, version: version}, nil
}

// save writes the book if it has changed.
func (s *scheduler) save(ctx context.Context, k *savedBook) error {
	raw, err := json.Marshal(k.book)
	if err != nil {
		return fmt.Errorf("encode the book of schedules: %w", err)
	}
	if bytes.Equal(k.raw, raw) || k.version == "" && len(k.book.Entries)+len(k.book.Problems) == 0 {
		return nil
	}
	version, err := s.schedules.SaveBook(ctx, raw, k.version)
	if err != nil {
		return err
	}
	k.raw, k.version = raw, version
	return nil
}

// startAll makes the runs that are due, one after the other, and saves the book: before each run what it is about to
// do, and at the end what came of it. A server that dies in between leaves at most one intent open.
func (s *scheduler) startAll(
	ctx context.Context, k *savedBook, due []schedule.Start, drills map[string]scheduled,
) error {
	for _, start := range due {
		if ctx.Err() != nil {
			break
		}
		// Being stopped is no reason to leave a run half made.
		finishing, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
		err := s.start(finishing, k, start, drills[start.Drill])
		cancel()
		if err != nil {
			return err
		}
	}
	finishing, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
	defer cancel()
	return s.save(finishing, k)
}

// start makes one run, once its intent is in the book. It returns an error only if that could not be saved.
func (s *scheduler) start(ctx context.Context, k *savedBook, due schedule.Start, d scheduled) error {
	token := rand.Text()
	a := &attempt{since: time.Now()}
	s.attempts[token] = a
	k.book.Intend(due, kube.ScheduledRunID(due.For, due.Drill), token)
	if err := s.save(ctx, k); err != nil {
		return err
	}
	if ctx.Err() != nil {
		a.err = errNotSent
	} else {
		a.sent = true
		var run *kube.DrillRun
		run, a.err = s.runs.CreateScheduled(ctx, kube.Spec{Drill: due.Drill, File: d.file, Source: d.source,
			Inputs: d.inputs, Requester: d.requester}, due.For)
		if a.err == nil {
			a.run = run.Name
			s.o.Log.Info("scheduled run", zap.String("run", run.Name), zap.String("due", due.For.UTC().Format(time.RFC3339)),
				zap.Bool("late", due.Late), zap.String("requester", d.requester.User))
		}
	}
	if a.err != nil {
		s.o.Log.Warn("a scheduled run cannot be made", zap.String("drill", due.Drill),
			zap.String("due", due.For.UTC().Format(time.RFC3339)), zap.Error(a.err))
	}
	s.note(k.book, due, a)
	return nil
}

// note enters in the book what came of an attempt, and reports whether that is known.
func (s *scheduler) note(book *schedule.Book, due schedule.Start, a *attempt) bool {
	switch {
	case a.run != "":
		book.Started(due, a.run)
	case a.sent && !kube.Unmade(a.err):
		return false
	case a.err != nil:
		book.Failed(due, fmt.Sprintf("its run could not be made: %v", a.err))
	default: // its intent was saved, although no answer said so
		book.Withdraw(due.Drill)
	}
	return true
}

// settle closes the intents that are open: those of this server by what it knows, the others by the records. If there is
// no record, settle waits until none can come any more, and counts the due time as missed. A run whose record was deleted
// looks the same, and must not be made again.
func (s *scheduler) settle(book *schedule.Book, made []schedule.Run) {
	for token, a := range s.attempts {
		if time.Since(a.since) > forgetAfter {
			delete(s.attempts, token)
		}
	}
	for _, e := range slices.Clone(book.Entries) {
		if e.Intent == nil {
			continue
		}
		due := schedule.Start{Drill: e.Drill, For: e.Intent.For}
		a := s.attempts[e.Intent.Token]
		if a == nil {
			a = &attempt{since: time.Now(), sent: true}
			s.attempts[e.Intent.Token] = a
		}
		if s.note(book, due, a) {
			continue
		}
		of := func(r schedule.Run) bool { return r.Drill == e.Drill && r.For.Equal(e.Intent.For) }
		if i := slices.IndexFunc(made, of); i >= 0 {
			book.Started(due, made[i].Name)
		} else if time.Since(a.since) >= settleAfter {
			book.Lost(due, lost(e.Intent.Run, a.err))
		}
	}
}

// lost is why a due time is missed whose run may have been made.
func lost(run string, err error) string {
	why := "the server that was making it stopped"
	if err != nil {
		why = err.Error()
	}
	return fmt.Sprintf("run %s has no record: %s. It may have run, so it is not started again", run, why)
}
