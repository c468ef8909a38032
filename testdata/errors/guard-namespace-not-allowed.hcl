drill "guard-namespace-not-allowed" {
  target "postgresql" "orders" {
    namespace = "shop" # ERROR: Namespace not allowed
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  guard {
    namespaces = ["bank"]
  }
}
