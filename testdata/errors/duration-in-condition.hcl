drill "duration-in-condition" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = target.orders.lag_seconds > duration("5 s") # ERROR: Invalid function argument
    error_message = "Writes fail."
  }
}
