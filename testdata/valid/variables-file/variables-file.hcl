# The values of these variables are in the file beside this one.
variable "namespace" {
  type = string

  validation {
    condition     = startswith(var.namespace, "shop")
    error_message = "The namespace is one of the shop's."
  }
}

variable "limits" {
  type = object({ recovery = string, lost = optional(number, 0) })
}

drill "variables-file" {
  target "postgresql" "orders" {
    namespace = var.namespace
    selector  = "app=orders"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  objectives {
    recovery_time = var.limits.recovery
    lost_writes   = var.limits.lost
  }
}
