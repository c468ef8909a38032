variable "rate" {
  type    = number
  default = 50

  validation {
    condition     = var.rate > target.orders.lag_seconds # ERROR: Unknown reference
    error_message = "Write at most 100 rows a second."
  }
}

drill "variable-validation-of-live-value" {
  target "postgresql" "orders" {
    namespace  = "shop"
    selector   = "application=patroni"
    dsn        = secret("orders-app", "uri")
    write_rate = var.rate
  }

  fault "kill_primary" "orders" {}
}
