locals {
  limit = "high"
}

drill "condition-local-of-wrong-type" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = target.orders.lag_seconds > local.limit # ERROR: Invalid operand
    error_message = "Writes fail."
  }
}
