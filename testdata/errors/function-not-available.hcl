locals {
  id = uuid() # ERROR: Function not available
}

drill "function-not-available" {
  description = "Written at ${timestamp()}." # ERROR: Function not available

  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
