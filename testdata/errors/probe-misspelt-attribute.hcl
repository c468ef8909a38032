drill "probe-misspelt-attribute" {
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
    condition     = probe.checkout.outage_secs > 5 # ERROR: Unknown attribute
    error_message = "Checkout is down."
  }
}
