variable "namespace" {
  type    = "string" # ERROR: Invalid type
  default = "shop"
}

drill "variable-type-in-quotes" {
  target "postgresql" "orders" {
    namespace = var.namespace
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
