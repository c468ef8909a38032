variable "namespace" {
  default = "shop"
}

locals {
  rate = 50
}

drill "unknown-variable" {
  target "postgresql" "orders" {
    namespace  = var.namespce # ERROR: Unknown variable
    selector   = "application=patroni"
    write_rate = local.rates # ERROR: Unknown local
    dsn        = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
