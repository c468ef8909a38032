drill "target-selector-not-closed" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "app in (patroni" # ERROR: Invalid selector
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
