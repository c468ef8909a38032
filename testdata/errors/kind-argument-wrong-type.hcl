drill "kind-argument-wrong-type" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    write_rate = "fast" # ERROR: Unsuitable value type
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
