variable "zone" {
  type    = string
  default = "shop"
}

drill "variable-attribute-of-text" {
  target "postgresql" "orders" {
    namespace = var.zone.name # ERROR: Unsupported attribute
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
