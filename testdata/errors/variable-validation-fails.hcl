variable "rate" {
  type    = number
  default = 500 # ERROR: Invalid value for variable

  validation {
    condition     = var.rate <= 100
    error_message = "Write at most 100 rows a second."
  }
}

drill "variable-validation-fails" {
  target "postgresql" "orders" {
    namespace  = "shop"
    selector   = "application=patroni"
    dsn        = secret("orders-app", "uri")
    write_rate = var.rate
  }

  fault "kill_primary" "orders" {}
}
