variable "rate" {
  type    = number
  default = "many" # ERROR: Unsuitable value type
}

drill "variable-default-type" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
