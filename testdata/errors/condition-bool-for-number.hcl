drill "condition-bool-for-number" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = (target.orders.lag_seconds > 1) > 2 # ERROR: Invalid operand
    error_message = "Writes fail."
  }
}
