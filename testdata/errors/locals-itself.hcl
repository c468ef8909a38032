locals {
  ns = "${local.ns}-a" # ERROR: Locals in a circle
}

drill "locals-itself" {
  target "postgresql" "orders" {
    namespace = local.ns
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
