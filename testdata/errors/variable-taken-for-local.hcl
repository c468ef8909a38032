variable "namespace" {
  default = "shop"
}

drill "variable-taken-for-local" {
  target "postgresql" "orders" {
    namespace = local.namespace # ERROR: Unknown local
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
