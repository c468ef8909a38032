drill "precondition-without-name" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  precondition { # ERROR: Missing name for precondition
    condition     = target.orders.lag_seconds < 1
    error_message = "Lag."
  }
}
