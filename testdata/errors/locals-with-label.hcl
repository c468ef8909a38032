locals "names" { # ERROR: Unexpected label
  ns = "shop"
}

drill "locals-with-label" {
  target "postgresql" "orders" {
    namespace = local.ns
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
