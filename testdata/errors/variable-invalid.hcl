variable "namespace" {
  default = "Shop" # ERROR: Invalid value for variable

  validation {
    condition     = can(regex("^[a-z]+$", var.namespace))
    error_message = "Write the namespace in small letters, and not ${var.namespace}."
  }
}

drill "variable-invalid" {
  target "postgresql" "orders" {
    namespace = var.namespace
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
