drill "dsn-with-options" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = "host=orders.shop options='-c role=postgres'" # ERROR: Invalid dsn
  }

  fault "kill_primary" "orders" {}
}
