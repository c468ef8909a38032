drill "live-value-in-argument" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  description = "lag ${target.orders.lag_seconds}" # ERROR: Live value outside a condition
}
