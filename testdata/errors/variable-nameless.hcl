variable { # ERROR: Variable without a name
  default = "shop"
}

drill "variable-nameless" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
