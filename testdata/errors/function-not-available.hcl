drill "function-not-available" {
  target "postgresql" "orders" {
    namespace = "shop-${timestamp()}" # ERROR: Function not available
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
