variable "namespace" {
  defualt = "shop" # ERROR: Unsupported argument
}

drill "variable-misspelt-argument" {
  target "postgresql" "orders" {
    namespace = var.namespace
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
