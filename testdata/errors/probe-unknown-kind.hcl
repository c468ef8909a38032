drill "probe-unknown-kind" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  probe "htp" "checkout" { # ERROR: Unknown kind of probe
    url = "http://checkout.shop/healthz"
  }

  abort "checkout" {
    condition     = probe.checkout.outage_seconds > 5
    error_message = "Checkout is down."
  }
}
