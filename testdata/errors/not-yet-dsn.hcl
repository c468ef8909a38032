drill "not-yet-dsn" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = var.dsn # ERROR: Not available yet
  }

  fault "kill_primary" "orders" {}
}
