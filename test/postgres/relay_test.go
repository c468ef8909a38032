package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestARelayRefusesAndIsSlow: while it refuses, requests fail at once and the session lives; a share of the answers
// is late.
func TestARelayRefusesAndIsSlow(t *testing.T) {
	p := Start(t)
	conn, err := pgconn.Connect(t.Context(), p.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	ask := func() (string, time.Duration, error) {
		began := time.Now()
		result := conn.ExecParams(t.Context(), "SELECT 7", nil, nil, nil, nil).Read()
		if result.Err != nil {
			return "", 0, result.Err
		}
		return string(result.Rows[0][0]), time.Since(began), nil
	}
	answered := func() time.Duration {
		t.Helper()
		got, took, err := ask()
		if err != nil || got != "7" {
			t.Fatalf("answered %q, %v", got, err)
		}
		return took
	}
	answered()
	p.Service.Refuse()
	for range 3 {
		var pg *pgconn.PgError
		if _, _, err := ask(); !errors.As(err, &pg) || pg.Code != "53400" {
			t.Fatalf("refused by %v", err)
		}
	}
	p.Service.Accept()
	answered()

	p.Service.Jitter(rand.New(rand.NewPCG(1, 1)), 1, 50*time.Millisecond, 60*time.Millisecond)
	if took := answered(); took < 50*time.Millisecond {
		t.Errorf("answered within %v", took)
	}
}
