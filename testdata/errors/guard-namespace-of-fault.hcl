drill "guard-namespace-of-fault" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  guard {
    namespaces = ["shop"]
  }

  fault "network_partition" "cut" {
    target   = "orders"
    duration = "30s"
    from     = { role = "primary" }
    to       = { selector = "app=cart", namespace = "carts" } # ERROR: Namespace not allowed
  }
}
