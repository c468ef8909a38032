drill "condition-with-itself" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = target.orders.lag_seconds > target.orders.lag_seconds # ERROR: Constant condition
    error_message = "Writes fail."
  }
}
