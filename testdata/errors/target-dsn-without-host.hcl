drill "target-dsn-without-host" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = "postgres:///orders" # ERROR: Invalid dsn
  }

  fault "kill_primary" "orders" {}
}
