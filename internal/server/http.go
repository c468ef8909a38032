package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

// listen opens the port. The port is read-only: the Kubernetes API is the only place to change anything.
func listen(ctx context.Context, o Options, e *elector) (serve func() error, err error) {
	for what, auth := range map[string]string{"pages": o.PageAuth, "metrics": o.MetricsAuth} {
		if auth != "" && auth != AuthToken && auth != AuthAnonymous {
			return nil, fmt.Errorf("the %s are for %s or %s, and not %q", what, AuthToken, AuthAnonymous, auth)
		}
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", o.Listen, err)
	}
	ready := newReadiness(separate(o.Client, o.Log, 2, 4), o.Log)
	go ready.run(ctx)
	server := BoundedServer(handler(o, e, ready))
	o.Log.Info("listening", zap.Stringer("address", listener.Addr()))
	stop := context.AfterFunc(ctx, func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(closing)
	})
	return func() error {
		defer stop()
		if err := server.Serve(BoundedListener(listener)); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve HTTP: %w", err)
		}
		return nil
	}, nil
}

func handler(o Options, e *elector, ready *readiness) http.Handler {
	mux := http.NewServeMux()
	// Not behind anything that strangers can fill.
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if err := e.healthy(r); err != nil {
			o.Log.Error("not healthy", zap.Error(err))
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		switch err := ready.ready(); {
		case err != nil:
			http.Error(w, "the API server does not answer", http.StatusServiceUnavailable)
		case e.leading.Load():
			_, _ = fmt.Fprintln(w, strings.TrimSuffix("ok, leading; "+o.policies.state(), "; "))
		default:
			_, _ = fmt.Fprintln(w, "ok, standing by")
		}
	})
	door := newDoorkeeper(separate(o.Client, o.Log, 5, 10), o.Log)
	metrics := promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
	if o.MetricsAuth == AuthToken {
		metrics = door.admits(toSeeMetrics(), metrics)
	}
	pages := http.NewServeMux()
	newPages(o, e.index).register(pages)
	var shown http.Handler = pages
	if o.PageAuth != AuthAnonymous {
		shown = door.admits(toSeeRuns(o.Namespace), pages)
	}
	mux.Handle("GET /metrics", fewAtOnce(metrics))
	mux.Handle("GET /", fewAtOnce(shown))
	return mux
}
