drill "guard-namespaces-as-text" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  guard {
    namespaces = "shop" # ERROR: Unsuitable value type
  }
}
