drill "condition-probe-not-declared" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = probe.checkout.outage_seconds > 5 # ERROR: Unknown probe
    error_message = "Writes fail."
  }
}
