drill "function-too-few-arguments" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app") # ERROR: Not enough function arguments
  }

  fault "kill_primary" "orders" {}
}
