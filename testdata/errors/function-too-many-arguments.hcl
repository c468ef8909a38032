drill "function-too-many-arguments" {
  target "postgresql" "orders" {
    namespace = lower("shop", "bank") # ERROR: Too many function arguments
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
