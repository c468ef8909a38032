drill "function-wrong-type" {
  target "postgresql" "orders" {
    namespace = upper(["shop"]) # ERROR: Invalid function argument
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
