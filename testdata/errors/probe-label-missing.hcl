drill "probe-label-missing" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  probe "http" { # ERROR: Missing name for probe
    url = "http://checkout.shop/healthz"
  }
}
