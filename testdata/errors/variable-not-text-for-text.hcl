variable "namespace" {
  type    = list(string)
  default = ["shop"]
}

drill "variable-not-text-for-text" {
  target "postgresql" "orders" {
    namespace = var.namespace # ERROR: Unsuitable value type
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
