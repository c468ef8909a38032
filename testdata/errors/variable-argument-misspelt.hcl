variable "namespace" {
  defualt     = "shop" # ERROR: Unsupported argument
  description = "In ${var.namespace}." # ERROR: Reference in a variable
}

drill "variable-argument-misspelt" {
  target "postgresql" "orders" {
    namespace = var.namespace
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
