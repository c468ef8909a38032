variable "rate" {
  type    = number
  default = "fifty" # ERROR: Unsuitable value type
}

drill "variable-default-of-wrong-type" {
  target "postgresql" "orders" {
    namespace  = "shop"
    selector   = "application=patroni"
    dsn        = secret("orders-app", "uri")
    write_rate = var.rate
  }

  fault "kill_primary" "orders" {}
}
