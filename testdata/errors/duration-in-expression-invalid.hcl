drill "duration-in-expression-invalid" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = target.orders.outage_seconds > duration("90") # ERROR: Invalid function argument
    error_message = "Writes fail."
  }
}
