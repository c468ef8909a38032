package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
	"k8s.io/client-go/discovery"
)

// listen opens the port. The port is read-only: the Kubernetes API is the only place to change anything.
func listen(ctx context.Context, o Options, e *elector) (serve func() error, err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", o.Listen, err)
	}
	server := &http.Server{Handler: handler(o, e), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	o.Log.Info("listening", zap.Stringer("address", listener.Addr()))
	stop := context.AfterFunc(ctx, func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(closing)
	})
	return func() error {
		defer stop()
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve HTTP: %w", err)
		}
		return nil
	}, nil
}

func handler(o Options, e *elector) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		_, err := discovery.ToServerVersionInterfaceWithContext(o.Client.Discovery()).ServerVersionWithContext(ctx)
		switch {
		case err != nil:
			o.Log.Warn("not ready: the API server does not answer", zap.Error(err))
			http.Error(w, "the API server does not answer", http.StatusServiceUnavailable)
		case e.leading.Load():
			_, _ = fmt.Fprintln(w, "ok, leading")
		default:
			_, _ = fmt.Fprintln(w, "ok, standing by")
		}
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	newPages(o, e.index).register(mux)
	return mux
}
