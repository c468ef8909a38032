drill "abort-grace-negative" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = target.orders.lag_seconds > 5
    error_message = "Writes fail."
    grace         = "-5s" # ERROR: Invalid duration
  }
}
