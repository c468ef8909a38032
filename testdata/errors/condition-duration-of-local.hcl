locals {
  limit = "90s"
}

drill "condition-duration-of-local" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = target.orders.lag_seconds > local.limit # ERROR: Duration as text
    error_message = "Writes fail."
  }
}
