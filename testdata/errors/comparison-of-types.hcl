drill "comparison-of-types" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = target.orders.lag_seconds == "high" # ERROR: Comparison of different types
    error_message = "Writes fail."
  }
}
