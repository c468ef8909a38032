variable "limit" {
  default   = 5
  sensitive = true
}

locals {
  limit = var.limit * 2
}

drill "sensitive-in-condition" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = target.orders.lag_seconds > var.limit # ERROR: Misplaced secret
    error_message = "Too late."
  }

  abort "message" {
    condition     = target.orders.lag_seconds > 5
    error_message = "More than ${local.limit} s." # ERROR: Misplaced secret
  }
}
