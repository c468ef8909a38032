locals {
  dsn = secret("orders-app", "uri")
}

drill "locals-secret-shown" {
  target "postgresql" "orders" {
    namespace = local.dsn # ERROR: Misplaced secret
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
