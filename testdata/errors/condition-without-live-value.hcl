drill "condition-without-live-value" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = duration("90s") > 5 # ERROR: Condition without a live value
    error_message = "Writes fail."
  }
}
