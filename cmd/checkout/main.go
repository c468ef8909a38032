// Command checkout is the demo shop's HTTP service: it writes orders to the primary of a PostgreSQL cluster and reads them from its replicas.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// drain is how long a stopping server still answers: endpoints learn of its end a little later than it does.
const drain = 3 * time.Second

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, log); err != nil {
		log.Error("checkout ends", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, log *slog.Logger) error {
	db, err := NewPostgres(ctx, PostgresConfig{
		URI:          os.Getenv("DATABASE_URI"),
		ReplicasHost: os.Getenv("REPLICAS_HOST"),
		Log:          log,
	})
	if err != nil {
		return err
	}
	defer db.Close()

	h := NewHandler(HandlerConfig{Store: db, Name: os.Getenv("POD_NAME"), Log: log})
	srv := &http.Server{Addr: ":8080", Handler: h, ReadHeaderTimeout: 5 * time.Second}

	// The service is ready without its database: it then answers 503, which says
	// more than a refused connection, and it recovers without an orchestrator.
	go db.Migrate(ctx)

	failed := make(chan error, 1)
	go func() { failed <- srv.ListenAndServe() }()
	log.Info("checkout listens", "address", srv.Addr)
	select {
	case err := <-failed:
		return fmt.Errorf("listen on %s: %w", srv.Addr, err)
	case <-ctx.Done():
	}

	h.Drain()
	time.Sleep(drain)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := srv.Shutdown(end); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("shut down: %w", err)
	}
	return nil
}
