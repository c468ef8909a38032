drill "precondition-for-a-time" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  precondition "caught-up" {
    condition     = target.orders.lag_seconds < 1
    error_message = "Writes fail."
    for           = "5s" # ERROR: Unsupported argument
  }
}
