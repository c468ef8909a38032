variable "namespace" {
  default = "shop"

  validation {
    condition     = length(target.orders.name) > 0 # ERROR: Unknown reference
    error_message = "No name."
  }

  validation {
    condition     = true # ERROR: Validation of nothing
    error_message = "Never."
  }

  validation {
    condition     = length(var.namespace) # ERROR: Unsuitable condition
    error_message = "Too short."
  }

  validation { # ERROR: Missing required argument
    condition = var.namespace != ""
  }
}

drill "validation-wrong" {
  target "postgresql" "orders" {
    namespace = var.namespace
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
