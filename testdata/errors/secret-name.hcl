drill "secret-name" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders app", "uri") # ERROR: Invalid function argument
  }

  fault "kill_primary" "orders" {}
}
