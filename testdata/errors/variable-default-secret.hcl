variable "dsn" {
  default = secret("orders-app", "uri") # ERROR: Misplaced secret
}

drill "variable-default-secret" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = var.dsn
  }

  fault "kill_primary" "orders" {}
}
