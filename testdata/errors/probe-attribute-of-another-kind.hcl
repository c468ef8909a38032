drill "probe-attribute-of-another-kind" {
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
    condition     = probe.checkout.lag_seconds > 5 # ERROR: Unknown attribute
    error_message = "Checkout is down."
  }
}
