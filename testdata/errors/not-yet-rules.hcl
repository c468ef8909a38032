drill "not-yet-rules" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  steady_state {
    assert {
      condition     = run.seconds > 0.9 # ERROR: Not available yet
      error_message = "Not steady."
    }

    assert {
      condition     = target.orders.lag_seconds < var.limit # ERROR: Unknown variable
      error_message = "Not steady."
    }
  }

  abort "outage" {
    condition     = target.orders.lag_seconds > 5
    error_message = "Writes fail."
    on_unknown    = "breach" # ERROR: Not available yet
  }
}
