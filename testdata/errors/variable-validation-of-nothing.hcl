variable "rate" {
  type    = number
  default = 50

  validation {
    condition     = 50 <= 100 # ERROR: Validation of nothing
    error_message = "Write at most 100 rows a second."
  }
}

drill "variable-validation-of-nothing" {
  target "postgresql" "orders" {
    namespace  = "shop"
    selector   = "application=patroni"
    dsn        = secret("orders-app", "uri")
    write_rate = var.rate
  }

  fault "kill_primary" "orders" {}
}
