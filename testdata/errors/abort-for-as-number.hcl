drill "abort-for-as-number" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = target.orders.lag_seconds > 5
    error_message = "Writes fail."
    for           = 5 # ERROR: Invalid duration
  }
}
