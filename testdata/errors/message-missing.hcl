drill "message-missing" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  steady_state {
    assert { # ERROR: Missing required argument
      condition = target.orders.lag_seconds < 1
    }
  }
}
