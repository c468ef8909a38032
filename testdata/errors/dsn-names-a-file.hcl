drill "dsn-names-a-file" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = "postgres://u:p@orders.shop/db?sslrootcert=/dev/zero" # ERROR: Invalid dsn
  }

  fault "kill_primary" "orders" {}
}
