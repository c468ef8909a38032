variable "zone" {
  type    = object({ name = string })
  default = { name = "shop" }
}

drill "variable-attribute-unknown" {
  target "postgresql" "orders" {
    namespace = var.zone.nmae # ERROR: Unsupported attribute
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
