drill "repeat-too-many" {
  repeat = 1001 # ERROR: Repeat out of range

  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
