variable "namespace" {
  default   = "shop"
  sensitive = true
}

locals {
  where = "${var.namespace}-db"
}

drill "variable-sensitive-in-the-open" {
  description = "In ${var.namespace}." # ERROR: Misplaced secret

  target "postgresql" "orders" {
    namespace = local.where # ERROR: Misplaced secret
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
