drill "target-argument-twice" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
    namespace = "bank" # ERROR: Attribute redefined
  }

  fault "kill_primary" "orders" {}
}
