drill "abort-without-name" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort { # ERROR: Missing name for abort
    condition     = target.orders.lag_seconds > 5
    error_message = "Writes fail."
  }
}
