variable "target" {
  default = "orders"
}

drill "variable-in-label" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" var.target { # ERROR: Invalid block definition
  }
}
