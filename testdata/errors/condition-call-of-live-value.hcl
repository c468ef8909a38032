drill "condition-call-of-live-value" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = uper(target.orders.lag_seconds) > 5 # ERROR: Call to unknown function
    error_message = "Writes fail."
  }
}
