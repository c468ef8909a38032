drill "target-selector-with-spaces" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application patroni" # ERROR: Invalid selector
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
