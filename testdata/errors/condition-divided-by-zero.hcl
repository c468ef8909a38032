drill "condition-divided-by-zero" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = target.orders.outage_seconds / 0 > 5 # ERROR: Division by zero
    error_message = "Writes fail."
  }
}
