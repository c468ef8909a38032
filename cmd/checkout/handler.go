package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// budget is how long one request may take; a client learns of an outage no later.
const budget = 3 * time.Second

// ErrNotFound says that there is no such order.
var ErrNotFound = errors.New("no such order")

// Order is one order as clients send and see it.
type Order struct {
	ID       string    `json:"id"`
	Item     string    `json:"item"`
	Quantity int       `json:"quantity"`
	Created  time.Time `json:"created"`
}

// Server says which member of the database answered, and as what.
type Server struct {
	Address string `json:"address"`
	Role    string `json:"role"` // primary or replica
}

// Store keeps orders.
type Store interface {
	// Insert writes the order to the primary and returns it as stored. It is safe to repeat.
	Insert(ctx context.Context, o Order) (Order, Server, error)
	// Order reads one order, from a replica where possible.
	Order(ctx context.Context, id string) (Order, Server, error)
	// Orders reads the newest orders, from a replica where possible.
	Orders(ctx context.Context, limit int) ([]Order, Server, error)
}

// HandlerConfig is what a Handler needs.
type HandlerConfig struct {
	Store Store
	Name  string // of this instance, in every answer
	Log   *slog.Logger
}

// Handler serves the HTTP API.
type Handler struct {
	cfg      HandlerConfig
	mux      *http.ServeMux
	draining atomic.Bool
}

// NewHandler returns the API over a store.
func NewHandler(cfg HandlerConfig) *Handler {
	h := &Handler{cfg: cfg, mux: http.NewServeMux()}
	h.mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	h.mux.HandleFunc("GET /healthz", h.ready)
	h.mux.HandleFunc("POST /orders", h.create)
	h.mux.HandleFunc("GET /orders", h.list)
	h.mux.HandleFunc("GET /orders/{id}", h.read)
	h.mux.HandleFunc("GET /checkout", h.checkout)
	return h
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), budget)
	defer cancel()
	h.mux.ServeHTTP(w, r.WithContext(ctx))
}

// Drain makes the instance not ready, so that nothing new is sent to it.
func (h *Handler) Drain() { h.draining.Store(true) }

// ready does not ask the database: every instance would leave its Service at
// once, and clients would see refused connections where 503 tells them more.
func (h *Handler) ready(w http.ResponseWriter, _ *http.Request) {
	if h.draining.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusOK)
}

func (h *Handler) create(w http.ResponseWriter, r *http.Request) {
	var o Order
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&o); err != nil {
		h.answer(w, http.StatusBadRequest, map[string]any{"error": "the body is not an order: " + err.Error()})
		return
	}
	if strings.TrimSpace(o.Item) == "" || o.Quantity < 1 {
		h.answer(w, http.StatusBadRequest, map[string]any{"error": "an order has an item and a quantity of 1 or more"})
		return
	}
	if o.ID == "" {
		o.ID = rand.Text()
	}
	stored, by, err := h.cfg.Store.Insert(r.Context(), o)
	if err != nil {
		h.fail(w, "insert order", err)
		return
	}
	h.answer(w, http.StatusCreated, map[string]any{"order": stored, "written_by": by})
}

func (h *Handler) read(w http.ResponseWriter, r *http.Request) {
	o, by, err := h.cfg.Store.Order(r.Context(), r.PathValue("id"))
	if err != nil {
		h.fail(w, "read order", err)
		return
	}
	h.answer(w, http.StatusOK, map[string]any{"order": o, "read_by": by})
}

func (h *Handler) list(w http.ResponseWriter, r *http.Request) {
	os, by, err := h.cfg.Store.Orders(r.Context(), 20)
	if err != nil {
		h.fail(w, "list orders", err)
		return
	}
	h.answer(w, http.StatusOK, map[string]any{"orders": os, "read_by": by})
}

// checkout writes an order and reads it again; 200 means that what was read is what was written.
func (h *Handler) checkout(w http.ResponseWriter, r *http.Request) {
	want := Order{ID: rand.Text(), Item: "drill bit", Quantity: 1}
	stored, writtenBy, err := h.cfg.Store.Insert(r.Context(), want)
	if err != nil {
		h.fail(w, "insert order", err)
		return
	}
	got, readBy, err := h.cfg.Store.Order(r.Context(), want.ID)
	if err != nil {
		h.fail(w, "read the order just written", err)
		return
	}
	if got.ID != stored.ID || got.Item != stored.Item || got.Quantity != stored.Quantity || !got.Created.Equal(stored.Created) {
		h.answer(w, http.StatusInternalServerError, map[string]any{"error": "read is not what was written", "written": stored, "read": got})
		return
	}
	h.answer(w, http.StatusOK, map[string]any{"order_id": got.ID, "written_by": writtenBy, "read_by": readBy})
}

func (h *Handler) fail(w http.ResponseWriter, what string, err error) {
	if errors.Is(err, ErrNotFound) {
		h.answer(w, http.StatusNotFound, map[string]any{"error": ErrNotFound.Error()})
		return
	}
	h.cfg.Log.Warn(what, "error", err)
	w.Header().Set("Retry-After", "1")
	h.answer(w, http.StatusServiceUnavailable, map[string]any{"error": what + " failed: the database does not serve"})
}

func (h *Handler) answer(w http.ResponseWriter, status int, body map[string]any) {
	body["served_by"] = h.cfg.Name
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		h.cfg.Log.Debug("write answer", "error", err)
	}
}
