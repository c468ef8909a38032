drill "message-template-not-closed" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = target.orders.lag_seconds > 5
    error_message = "Lag ${target.orders.lag_seconds s." # ERROR: Extra characters after interpolation expression
  }
}
