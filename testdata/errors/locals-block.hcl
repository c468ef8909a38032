locals {
  names { # ERROR: Unsupported block type
    ns = "shop"
  }
}

drill "locals-block" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
