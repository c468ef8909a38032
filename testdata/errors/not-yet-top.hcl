variable "namespace" { # ERROR: Not available yet
  default = "shop"
}

locals { # ERROR: Not available yet
  rate = 50
}

drill "not-yet-top" {
  target "postgresql" "orders" {
    namespace = var.namespace # ERROR: Not available yet
    selector  = "application=patroni"
    write_rate = local.rate # ERROR: Not available yet
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
