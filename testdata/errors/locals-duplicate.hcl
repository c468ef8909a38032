locals {
  ns = "shop"
}

locals {
  ns = "bank" # ERROR: Duplicate name
}

drill "locals-duplicate" {
  target "postgresql" "orders" {
    namespace = local.ns
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
