locals {
  namespace = "shop"
}

locals {
  namespace = "till" # ERROR: Duplicate name
}

drill "local-duplicate" {
  target "postgresql" "orders" {
    namespace = local.namespace
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
