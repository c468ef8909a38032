locals {
  a = local.b
  b = "${local.c}-b"
  c = local.a # ERROR: Locals in a circle
  d = local.d # ERROR: Locals in a circle
  e = "${local.a}-e"
}

drill "locals-circle" {
  target "postgresql" "orders" {
    namespace = local.e
    selector  = local.d
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
