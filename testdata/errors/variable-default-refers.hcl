locals {
  shop = "shop"
}

variable "namespace" {
  default = local.shop # ERROR: Reference in a default
}

drill "variable-default-refers" {
  target "postgresql" "orders" {
    namespace = var.namespace
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
