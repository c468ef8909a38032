locals {
  namespace = try(uper("shop"), "shop") # ERROR: Call to unknown function
}

drill "function-misspelt-in-try" {
  target "postgresql" "orders" {
    namespace = local.namespace
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
