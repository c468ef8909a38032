drill "dsn-names-a-service" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = "service=x servicefile=/dev/zero" # ERROR: Invalid dsn
  }

  fault "kill_primary" "orders" {}
}
