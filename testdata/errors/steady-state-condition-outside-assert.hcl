drill "steady-state-condition-outside-assert" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  steady_state {
    condition = target.orders.lag_seconds < 1 # ERROR: Unsupported argument
  }
}
