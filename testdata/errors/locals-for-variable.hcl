locals {
  namespace = "shop"
}

drill "locals-for-variable" {
  target "postgresql" "orders" {
    namespace = var.namespace # ERROR: Unknown variable
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
