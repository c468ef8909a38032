locals {
  names = ["shop"]
  ns    = local.names[1] # ERROR: Invalid index
}

drill "locals-index-out-of-range" {
  target "postgresql" "orders" {
    namespace = local.ns
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
