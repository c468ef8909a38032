drill "secret-in-guard" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  guard {
    namespaces = [secret("orders-app", "ns")] # ERROR: Misplaced secret
  }
}
