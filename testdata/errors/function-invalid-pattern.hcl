drill "function-invalid-pattern" {
  target "postgresql" "orders" {
    namespace = regex("sh(op", "shop") # ERROR: Invalid function argument
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
