variable "rate" {
  default = "many"
}

drill "variable-of-wrong-type-for-argument" {
  target "postgresql" "orders" {
    namespace  = "shop"
    selector   = "application=patroni"
    dsn        = secret("orders-app", "uri")
    write_rate = var.rate # ERROR: Unsuitable value type
  }

  fault "kill_primary" "orders" {}
}
