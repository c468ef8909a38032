drill "steady-state-assert-with-name" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  steady_state {
    assert "lag" { # ERROR: Extraneous label for assert
      condition     = target.orders.lag_seconds < 1
      error_message = "Lag."
    }
  }
}
