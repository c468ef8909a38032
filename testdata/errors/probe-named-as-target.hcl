drill "probe-named-as-target" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  probe "http" "orders" { # ERROR: Duplicate name
    url = "http://checkout.shop/healthz"
  }
}
