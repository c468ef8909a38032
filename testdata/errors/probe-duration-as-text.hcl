drill "probe-duration-as-text" {
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
    condition     = probe.checkout.outage_seconds > "5s" # ERROR: Duration as text
    error_message = "Checkout is down."
  }
}
