locals {
  pairs  = setproduct(range(1000), range(1000)) # ERROR: Value too large
  spaces = format("%1000000000d", 1) # ERROR: Value too large
  a      = join("", [for i in range(1000) : "0123456789abcdef"])
  b      = "${local.a}${local.a}${local.a}${local.a}${local.a}${local.a}${local.a}${local.a}"
  c      = "${local.b}${local.b}${local.b}${local.b}${local.b}${local.b}${local.b}${local.b}${local.b}${local.b}" # ERROR: Value too large
}

drill "value-too-large" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
