variable "namespace" {
  default = "shop"
}

drill "variable-whole" {
  target "postgresql" "orders" {
    namespace = var # ERROR: Incomplete reference
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
