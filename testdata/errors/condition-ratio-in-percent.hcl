drill "condition-ratio-in-percent" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = target.orders.success_ratio < 99 # ERROR: Constant condition
    error_message = "Writes fail."
  }
}
