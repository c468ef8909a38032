variable "namespace" {
  default   = "shop"
  sensitive = true
}

drill "variable-sensitive-shown" {
  target "postgresql" "orders" {
    namespace = var.namespace # ERROR: Misplaced secret
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
