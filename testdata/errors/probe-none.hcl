drill "probe-none" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "checkout" {
    condition     = probe.checkout.outage_seconds > 5 # ERROR: Unknown probe
    error_message = "Checkout is down."
  }
}
