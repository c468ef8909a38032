drill "secret-in-condition" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = target.orders.lag_seconds > 5 && secret("orders-app", "uri") != "x" # ERROR: Misplaced secret
    error_message = "Writes fail."
  }
}
