locals {
  namespace = "shop"
}

drill "locals-misspelt" {
  target "postgresql" "orders" {
    namespace = local.namespce # ERROR: Unknown local
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
