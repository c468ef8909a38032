drill "probe-in-message" {
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
    condition     = probe.checkout.outage_seconds > 5
    error_message = "Down for ${probe.checkout.outage} s." # ERROR: Unknown attribute
  }
}
