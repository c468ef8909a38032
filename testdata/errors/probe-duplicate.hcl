drill "probe-duplicate" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  probe "http" "checkout" {
    url = "http://checkout.shop/healthz"
  }

  probe "http" "checkout" { # ERROR: Duplicate name
    url = "http://checkout.shop/healthz"
  }
}
