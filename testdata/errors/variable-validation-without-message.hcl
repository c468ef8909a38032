variable "rate" {
  type    = number
  default = 50

  validation { # ERROR: Missing required argument
    condition = var.rate <= 100
  }
}

drill "variable-validation-without-message" {
  target "postgresql" "orders" {
    namespace  = "shop"
    selector   = "application=patroni"
    dsn        = secret("orders-app", "uri")
    write_rate = var.rate
  }

  fault "kill_primary" "orders" {}
}
