package agent

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"
)

// maxLine bounds one request.
const maxLine = 1 << 20

// What those may take up who have not shown yet that they are the runner.
const (
	handshakeWithin = 5 * time.Second
	maxStrangers    = 16
	// maxTalks bounds the connections of those who have. A runner has one, and another while that one breaks.
	maxTalks = 8
)

// silentLimit is how long a connection may say nothing; the runner beats much more often.
const silentLimit = time.Minute

// Serve listens to the runner until ctx ends, and then heals everything.
func (a *Agent) Serve(ctx context.Context, l net.Listener, config *tls.Config) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var work sync.WaitGroup
	work.Go(func() {
		<-ctx.Done()
		_ = l.Close()
	})
	work.Go(func() { a.keepTending(ctx) })
	var failed error
	var door, hall queue
	door.most, hall.most = maxStrangers, maxTalks
	a.hall = &hall
	for ctx.Err() == nil {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() == nil {
				failed = fmt.Errorf("accept a connection: %w", err)
			}
			break
		}
		leave := door.enter(c)
		work.Go(func() { a.talk(ctx, tls.Server(c, config), leave) })
	}
	cancel()
	// First of all, whatever else is going on.
	healed := a.heal()
	work.Wait()
	return errors.Join(failed, healed, a.Close())
}

func (a *Agent) keepTending(ctx context.Context) {
	tick := time.NewTicker(a.tendEvery())
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			a.tend()
		case <-ctx.Done():
			return
		}
	}
}

// talk answers one connection's requests, each on its own: a check that waits must not hold up a heartbeat.
func (a *Agent) talk(ctx context.Context, c *tls.Conn, leave func()) {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	defer func() { _ = c.Close() }()
	shaking, cancel := context.WithTimeout(ctx, handshakeWithin)
	err := c.HandshakeContext(shaking)
	cancel()
	leave()
	if err != nil {
		a.log.Warn("a connection that is not the runner's", zap.Stringer("from", c.RemoteAddr()), zap.Error(err))
		return
	}
	defer a.hall.enter(c.NetConn())() // not by TLS: saying good-bye to one that does not read would wait
	var writing sync.Mutex
	var answers sync.WaitGroup
	defer answers.Wait()
	lines := bufio.NewScanner(c)
	lines.Buffer(nil, maxLine)
	for {
		_ = c.SetReadDeadline(time.Now().Add(silentLimit))
		if !lines.Scan() {
			return
		}
		var q request
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			a.log.Warn("a request that cannot be read", zap.Error(err))
			return
		}
		heard := a.hear(q.Run, q.Generation)
		answers.Go(func() {
			r := reply{ID: q.ID}
			if err := heard; err != nil {
				r.Error = err.Error()
			} else if r.Result, err = a.answer(q); err != nil {
				r.Error = err.Error()
			}
			writing.Lock()
			defer writing.Unlock()
			_ = c.SetWriteDeadline(time.Now().Add(a.ttl))
			_ = json.NewEncoder(c).Encode(r)
		})
	}
}

// answer does what is asked. A panic is an error like any other: this process holds cuts that it must heal.
func (a *Agent) answer(q request) (result json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the agent itself failed: %v", p)
		}
	}()
	var value any
	switch q.Op {
	case opHello:
	case opBeat:
		value = a.status()
	case opPrepare:
		var args prepareArgs
		if err = json.Unmarshal(q.Args, &args); err == nil {
			err = a.prepare(args.Pods)
		}
	case opListen:
		var args listenArgs
		if err = json.Unmarshal(q.Args, &args); err == nil {
			var r listenResult
			r.Address, err = a.listen(args.Pod)
			value = r
		}
	case opOpen, opReach, opEcho:
		value, err = a.try(q)
	case opCut:
		var args cutArgs
		if err = json.Unmarshal(q.Args, &args); err == nil {
			err = a.cut(args)
		}
	case opHeal:
		before := a.status()
		err = a.heal()
		value = before
	default:
		err = fmt.Errorf("this agent does not know %q", q.Op)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(value)
}

// try uses a path, or a kept connection.
func (a *Agent) try(q request) (any, error) {
	var args tryArgs
	if err := json.Unmarshal(q.Args, &args); err != nil {
		return nil, err
	}
	if q.Op == opEcho {
		return a.paths.echo(args.Kept, args.Within), nil
	}
	p := pod{namespace: a.own}
	if args.Path.Pod != "" || q.Op == opOpen {
		var err error
		if p, err = a.pod(args.Path.Pod); err != nil {
			return nil, err
		}
	}
	if q.Op == opOpen {
		return a.paths.open(p, args.Path, args.Within), nil
	}
	return a.paths.reach(p, args.Path, args.Within), nil
}
