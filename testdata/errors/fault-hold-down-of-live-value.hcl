drill "fault-hold-down-of-live-value" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {
    hold_down = target.orders.outage_seconds # ERROR: Live value outside a condition
  }
}
