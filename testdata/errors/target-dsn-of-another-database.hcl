drill "target-dsn-of-another-database" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = "mysql://app@orders/orders" # ERROR: Invalid dsn
  }

  fault "kill_primary" "orders" {}
}
