drill "probe-misspelt" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  probe "http" "checkout" {
    url = "http://checkout.shop/healthz"
  }

  abort "checkout" {
    condition     = probe.chekout.outage_seconds > 5 # ERROR: Unknown probe
    error_message = "Checkout is down."
  }
}
