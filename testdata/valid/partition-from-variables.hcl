variable "role" {
  type    = string
  default = "replica"
}

variable "api_server" {
  type    = bool
  default = true
}

locals {
  primary = { role = "primary" }
}

drill "partition-from-variables" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "network_partition" "cut" {
    target   = "orders"
    duration = format("%ds", 2 * 30)
    from     = local.primary
    to       = { role = var.role, api_server = var.api_server }
  }
}
