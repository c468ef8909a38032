drill "condition-index-unknown" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = target["order"].lag_seconds > 5 # ERROR: Unknown target
    error_message = "Writes fail."
  }
}
