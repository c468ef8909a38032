variable "namespace" {
  default = "shop"
}

drill "variable-as-a-whole" {
  target "postgresql" "orders" {
    namespace = var["name${1}"] # ERROR: Incomplete reference
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
