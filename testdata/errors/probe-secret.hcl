drill "probe-secret" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  probe "http" "checkout" {
    url = secret("orders-app", "uri") # ERROR: Misplaced secret
  }
}
