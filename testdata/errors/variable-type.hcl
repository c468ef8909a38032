variable "namespace" {
  type    = strng # ERROR: Invalid type
  default = "shop"
}

variable "labels" {
  type    = map # ERROR: Invalid type
  default = {}
}

drill "variable-type" {
  target "postgresql" "orders" {
    namespace = var.namespace
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
