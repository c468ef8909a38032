locals {
  a = pow(10, 300)
  b = local.a * local.a * local.a * local.a
  c = "${local.b * local.b}" # ERROR: Number out of range
}

drill "number-too-large" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
