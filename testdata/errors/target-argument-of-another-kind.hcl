drill "target-argument-of-another-kind" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
    url       = "http://orders" # ERROR: Unsupported argument
  }

  fault "kill_primary" "orders" {}
}
