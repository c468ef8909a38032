drill "repeat-fraction" {
  repeat = 2.5 # ERROR: Unsuitable value type

  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
