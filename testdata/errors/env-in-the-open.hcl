drill "env-in-the-open" {
  target "postgresql" "orders" {
    namespace = env("SHOP") # ERROR: Misplaced secret
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
