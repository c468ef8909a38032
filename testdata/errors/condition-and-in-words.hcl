drill "condition-and-in-words" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = target.orders.lag_seconds > 1 and target.orders.primaries > 1 # ERROR: Missing newline after argument
    error_message = "Writes fail."
  }
}
