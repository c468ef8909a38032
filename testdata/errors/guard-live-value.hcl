drill "guard-live-value" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  guard {
    max_targets = target.orders.primaries # ERROR: Live value outside a condition
  }
}
