drill "target-namespace-in-capitals" {
  target "postgresql" "orders" {
    namespace = "Shop" # ERROR: Invalid namespace
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
