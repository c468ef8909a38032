drill "secret-in-plain-argument" {
  target "postgresql" "orders" {
    namespace = secret("orders-app", "namespace") # ERROR: Misplaced secret
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
