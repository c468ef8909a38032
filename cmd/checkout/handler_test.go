package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// memory is a Store that can be told to fail or to lie.
type memory struct {
	orders map[string]Order
	err    error
	spoil  func(*Order) // what a read changes
}

func (m *memory) Insert(_ context.Context, o Order) (Order, Server, error) {
	if m.err != nil {
		return Order{}, Server{}, m.err
	}
	o.Created = time.Unix(1, 0)
	m.orders[o.ID] = o
	return o, Server{Address: "10.0.0.1", Role: "primary"}, nil
}

func (m *memory) Order(_ context.Context, id string) (Order, Server, error) {
	o, ok := m.orders[id]
	if !ok {
		return Order{}, Server{}, ErrNotFound
	}
	if m.spoil != nil {
		m.spoil(&o)
	}
	return o, Server{Address: "10.0.0.2", Role: "replica"}, nil
}

func (m *memory) Orders(context.Context, int) ([]Order, Server, error) {
	return []Order{}, Server{}, m.err
}

func TestHandler(t *testing.T) {
	down := errors.New("password=hunter2: connection refused")
	for _, tc := range []struct {
		name, method, path, body string
		store                    memory
		status                   int
		want                     string
	}{
		{"live", "GET", "/livez", "", memory{}, 200, ""},
		{"ready without a database", "GET", "/healthz", "", memory{err: down}, 200, ""},
		{"create", "POST", "/orders", `{"item":"saw","quantity":2}`, memory{}, 201, `"role":"primary"`},
		{"create with an id", "POST", "/orders", `{"id":"a1","item":"saw","quantity":2}`, memory{}, 201, `"id":"a1"`},
		{"not an order", "POST", "/orders", `[`, memory{}, 400, "not an order"},
		{"no item", "POST", "/orders", `{"item":" ","quantity":2}`, memory{}, 400, "an item"},
		{"no quantity", "POST", "/orders", `{"item":"saw"}`, memory{}, 400, "quantity"},
		{"create while the database is down", "POST", "/orders", `{"item":"saw","quantity":2}`, memory{err: down}, 503, "does not serve"},
		{"unknown order", "GET", "/orders/x", "", memory{}, 404, "no such order"},
		{"list", "GET", "/orders", "", memory{}, 200, `"orders":[]`},
		{"checkout", "GET", "/checkout", "", memory{}, 200, `"order_id":"`},
		{"checkout while the database is down", "GET", "/checkout", "", memory{err: down}, 503, "does not serve"},
		{"checkout reads something else", "GET", "/checkout", "", memory{spoil: func(o *Order) { o.Quantity++ }}, 500, "not what was written"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.store.orders = map[string]Order{}
			h := NewHandler(HandlerConfig{Store: &tc.store, Name: "checkout-1", Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, strings.NewReader(tc.body)))
			if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.want) {
				t.Fatalf("status %d, body %s; want %d and %q", w.Code, w.Body, tc.status, tc.want)
			}
			if strings.Contains(w.Body.String(), "hunter2") {
				t.Fatal("an internal error reached the client")
			}
			if w.Body.Len() == 0 {
				return
			}
			var body struct {
				By string `json:"served_by"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.By != "checkout-1" {
				t.Fatalf("served_by %q, error %v", body.By, err)
			}
		})
	}
}

func TestDrain(t *testing.T) {
	h := NewHandler(HandlerConfig{Store: &memory{}})
	h.Drain()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Fatalf("a draining instance is ready: %d", w.Code)
	}
}

func TestLostPrimary(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{fmt.Errorf("the client left: %w", context.Canceled), false},
		{&pgconn.PgError{Code: "23505"}, false},                          // unique_violation: the primary judged
		{fmt.Errorf("insert: %w", &pgconn.PgError{Code: "25006"}), true}, // a replica by now
		{&pgconn.PgError{Code: "57P01"}, true},
		{context.DeadlineExceeded, true},
		{io.ErrUnexpectedEOF, true},
	} {
		if got := lostPrimary(tc.err); got != tc.want {
			t.Errorf("lostPrimary(%v) = %v", tc.err, got)
		}
	}
}
