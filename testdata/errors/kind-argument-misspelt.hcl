drill "kind-argument-misspelt" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    preest    = "patroni" # ERROR: Unsupported argument
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
