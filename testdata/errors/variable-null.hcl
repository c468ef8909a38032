variable "namespace" {
  type     = string
  default  = null # ERROR: Unsuitable value type
  nullable = false
}

drill "variable-null" {
  target "postgresql" "orders" {
    namespace = var.namespace
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
