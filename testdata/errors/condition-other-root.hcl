drill "condition-other-root" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = targets.orders.lag_seconds > 5 # ERROR: Unknown reference
    error_message = "Writes fail."
  }
}
