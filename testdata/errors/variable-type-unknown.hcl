variable "rate" {
  type    = numbr # ERROR: Invalid type
  default = 50
}

drill "variable-type-unknown" {
  target "postgresql" "orders" {
    namespace  = "shop"
    selector   = "application=patroni"
    dsn        = secret("orders-app", "uri")
    write_rate = var.rate
  }

  fault "kill_primary" "orders" {}
}
