variable "zone" {
  type    = object({ selector = string, zone = optional(string) })
  default = { selector = "app=orders" }
}

locals {
  nobody = "app in ("
  side   = { selektor = "app=orders" }
}

drill "fault-network_partition-sides" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "network_partition" "twice" {
    target   = "orders"
    duration = "10s"
    from     = { role = "any", selector = "app=orders" } # ERROR: Two ways to choose pods
    to       = { selector = "app=orders", selector = "app=shop" } # ERROR: Duplicate field
  }

  fault "network_partition" "nobody" {
    target   = "orders"
    duration = "10s"
    from     = {} # ERROR: Invalid side
    to       = "replica" # ERROR: Unsuitable value type
  }

  fault "network_partition" "elsewhere" {
    target   = "orders"
    duration = "10s"
    from     = { role = "primary", namespace = "shop" } # ERROR: Namespace without selector
    to       = { selector = local.nobody, namespace = "Shop" } # ERROR: Invalid namespace, Invalid selector
  }

  fault "network_partition" "whole" {
    target   = "orders"
    duration = "10s"
    from     = local.side # ERROR: Unsupported argument
    to       = var.zone   # ERROR: Unsupported argument
  }

  fault "network_partition" "control-plane" {
    target   = "orders"
    duration = "10s"
    from     = { role = "primary", api_server = true } # ERROR: API server in from
    to       = { role = target.orders.role } # ERROR: Live value outside a condition
  }
}
