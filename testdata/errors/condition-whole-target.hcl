drill "condition-whole-target" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = target.orders > 5 # ERROR: Incomplete reference
    error_message = "Writes fail."
  }
}
