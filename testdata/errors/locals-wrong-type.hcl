locals {
  names = ["shop"]
}

drill "locals-wrong-type" {
  target "postgresql" "orders" {
    namespace = local.names # ERROR: Unsuitable value type
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
