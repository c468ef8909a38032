locals {
  late = target.orders.lag_seconds > 1 # ERROR: Live value outside a condition
}

drill "local-live-value" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
