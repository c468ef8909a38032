drill "condition-single-equals" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = target.orders.primaries = 1 # ERROR: Missing newline after argument
    error_message = "Writes fail."
  }
}
