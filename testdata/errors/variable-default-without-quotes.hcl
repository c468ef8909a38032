variable "namespace" {
  default = shop # ERROR: Reference in a default
}

drill "variable-default-without-quotes" {
  target "postgresql" "orders" {
    namespace = var.namespace
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  objectives {
    recovery_time = "30s"
  }
}
