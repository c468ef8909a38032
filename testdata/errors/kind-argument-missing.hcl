drill "kind-argument-missing" {
  target "postgresql" "orders" { # ERROR: Missing required argument
    namespace = "shop"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
