drill "probe-live-value" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  probe "http" "checkout" {
    url  = "http://checkout.shop/healthz"
    rate = target.orders.lag_seconds # ERROR: Live value outside a condition
  }
}
