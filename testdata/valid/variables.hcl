variable "namespace" {
  type        = string
  default     = "shop"
  description = "Where the orders database runs."

  validation {
    condition     = can(regex("^[a-z]+$", var.namespace))
    error_message = "A namespace is written in small letters."
  }
}

variable "limits" {
  type = object({
    lag    = number
    outage = optional(string, "90s")
  })
  default = { lag = 1 }
}

locals {
  cluster  = join(",", [for k, v in local.labels : "${k}=${v}"])
  labels   = { application = "patroni", cluster-name = "orders" }
  checkout = "http://checkout.${var.namespace}/healthz"
}

drill "variables" {
  target "postgresql" "orders" {
    namespace = var.namespace
    selector  = local.cluster
    dsn       = secret("orders-app", "uri")
  }

  probe "http" "checkout" {
    url = local.checkout
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = target.orders.outage_seconds > duration(var.limits.outage) || target.orders.lag_seconds > var.limits.lag
    error_message = "Writes to ${var.namespace} have failed for ${target.orders.outage_seconds} s."
  }
}
