drill "condition-number-for-bool" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = target.orders.lag_seconds && true # ERROR: Invalid operand
    error_message = "Writes fail."
  }
}
