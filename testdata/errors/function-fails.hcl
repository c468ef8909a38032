drill "function-fails" {
  target "postgresql" "orders" {
    namespace = base64decode("%") # ERROR: Invalid function argument
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
