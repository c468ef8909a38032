package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/sony/gobreaker/v2"
)

// PostgresConfig is what a Postgres needs.
type PostgresConfig struct {
	URI          string // of the primary
	ReplicasHost string // where reads go first; none when empty
	Log          *slog.Logger
}

// Postgres is a Store in a PostgreSQL cluster.
type Postgres struct {
	log      *slog.Logger
	primary  *pgxpool.Pool
	replicas *pgxpool.Pool // nil when there are none
	// reads from replicas that fail again and again go to the primary at once
	breaker *gobreaker.CircuitBreaker[answer]
}

type answer struct {
	orders []Order
	server Server
}

// NewPostgres returns a store; it does not wait for the database.
func NewPostgres(ctx context.Context, cfg PostgresConfig) (*Postgres, error) {
	if cfg.URI == "" {
		return nil, errors.New("DATABASE_URI is not set")
	}
	p := &Postgres{log: cfg.Log, breaker: gobreaker.NewCircuitBreaker[answer](gobreaker.Settings{
		Name:    "replicas",
		Timeout: 5 * time.Second,
	})}
	var err error
	if p.primary, err = newPool(ctx, cfg.URI, "", "read-write"); err != nil {
		return nil, err
	}
	if cfg.ReplicasHost != "" {
		if p.replicas, err = newPool(ctx, cfg.URI, cfg.ReplicasHost, "any"); err != nil {
			p.primary.Close()
			return nil, err
		}
	}
	return p, nil
}

func newPool(ctx context.Context, uri, host, session string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(uri)
	if err != nil {
		return nil, errors.New("DATABASE_URI is not a PostgreSQL URI") // the error itself may quote the password
	}
	if host != "" {
		cfg.ConnConfig.Host = host
		cfg.ConnConfig.Fallbacks = nil
	}
	cfg.ConnConfig.ConnectTimeout = time.Second
	cfg.ConnConfig.RuntimeParams["application_name"] = "checkout"
	if session == "read-write" {
		// a Service may still lead to a member that is no longer the primary
		cfg.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	cfg.MaxConns = 8
	cfg.MaxConnIdleTime = 30 * time.Second
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("make pool for %s: %w", cfg.ConnConfig.Host, err)
	}
	return pool, nil
}

// Close closes all connections.
func (p *Postgres) Close() {
	p.primary.Close()
	if p.replicas != nil {
		p.replicas.Close()
	}
}

// Migrate makes the table, and tries until it is there or the context ends.
func (p *Postgres) Migrate(ctx context.Context) {
	for {
		try, cancel := context.WithTimeout(ctx, budget)
		// one transaction; the lock is for the instances that start at the same time
		_, err := p.primary.Exec(try, `SELECT pg_advisory_xact_lock(1);
			CREATE TABLE IF NOT EXISTS orders (
			id       text PRIMARY KEY,
			item     text NOT NULL,
			quantity integer NOT NULL CHECK (quantity > 0),
			created  timestamptz NOT NULL DEFAULT clock_timestamp());
			CREATE INDEX IF NOT EXISTS orders_created ON orders (created)`)
		cancel()
		if err == nil {
			p.log.Info("table orders is there")
			return
		}
		p.log.Warn("make table orders", "error", err)
		p.forget(err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

const server = `host(inet_server_addr()), CASE WHEN pg_is_in_recovery() THEN 'replica' ELSE 'primary' END`

// Insert implements Store. An order that is there already is returned as it is.
func (p *Postgres) Insert(ctx context.Context, o Order) (Order, Server, error) {
	var s Server
	err := p.primary.QueryRow(ctx, `INSERT INTO orders (id, item, quantity) VALUES ($1, $2, $3)
		ON CONFLICT (id) DO UPDATE SET id = excluded.id
		RETURNING id, item, quantity, created, `+server, o.ID, o.Item, o.Quantity).
		Scan(&o.ID, &o.Item, &o.Quantity, &o.Created, &s.Address, &s.Role)
	if err != nil {
		p.forget(err)
		return Order{}, Server{}, fmt.Errorf("insert order %s: %w", o.ID, err)
	}
	return o, s, nil
}

// Order implements Store. What a replica does not have yet the primary may have.
func (p *Postgres) Order(ctx context.Context, id string) (Order, Server, error) {
	a, err := p.read(ctx, true, `SELECT id, item, quantity, created, `+server+` FROM orders WHERE id = $1`, id)
	if err != nil {
		return Order{}, Server{}, fmt.Errorf("read order %s: %w", id, err)
	}
	if len(a.orders) == 0 {
		return Order{}, Server{}, ErrNotFound
	}
	return a.orders[0], a.server, nil
}

// Orders implements Store.
func (p *Postgres) Orders(ctx context.Context, limit int) ([]Order, Server, error) {
	a, err := p.read(ctx, false, `SELECT id, item, quantity, created, `+server+` FROM orders ORDER BY created DESC LIMIT $1`, limit)
	if err != nil {
		return nil, Server{}, fmt.Errorf("list orders: %w", err)
	}
	return a.orders, a.server, nil
}

// read asks a replica, and the primary when that fails or, with must, finds nothing.
func (p *Postgres) read(ctx context.Context, must bool, sql string, args ...any) (answer, error) {
	if p.replicas != nil {
		a, err := p.breaker.Execute(func() (answer, error) {
			// a third of the budget, so that the primary can still be asked
			try, cancel := context.WithTimeout(ctx, budget/3)
			defer cancel()
			return query(try, p.replicas, sql, args...)
		})
		if err == nil && (len(a.orders) > 0 || !must) {
			return a, nil
		}
		if err != nil {
			p.log.Debug("read from a replica", "error", err)
		}
	}
	a, err := query(ctx, p.primary, sql, args...)
	if err != nil {
		p.forget(err)
	}
	return a, err
}

func query(ctx context.Context, pool *pgxpool.Pool, sql string, args ...any) (answer, error) {
	rows, err := pool.Query(ctx, sql, args...)
	if err != nil {
		return answer{}, err
	}
	a := answer{orders: []Order{}}
	for rows.Next() {
		var o Order
		if err := rows.Scan(&o.ID, &o.Item, &o.Quantity, &o.Created, &a.server.Address, &a.server.Role); err != nil {
			rows.Close()
			return answer{}, err
		}
		a.orders = append(a.orders, o)
	}
	return a, rows.Err()
}

// forget drops every connection to a primary that turned out to be none:
// pooled connections would otherwise stay with the old one for ever.
func (p *Postgres) forget(err error) {
	if lostPrimary(err) {
		p.primary.Reset()
	}
}

func lostPrimary(err error) bool {
	var pg *pgconn.PgError
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, pgx.ErrNoRows):
		return false
	case errors.As(err, &pg):
		switch pg.Code {
		case "25006", // read_only_sql_transaction: it is a replica now
			"57P01", "57P02", "57P03": // it shuts down, crashed, or starts
			return true
		}
		return false
	}
	return true // the network, or no answer in time
}
