variable "namespace" {
  default = "shop"
}

variable "namespace" { # ERROR: Duplicate name
  default = "till"
}

drill "variable-duplicate" {
  target "postgresql" "orders" {
    namespace = var.namespace
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
