drill "secret-in-description" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  description = "dsn ${secret("orders-app", "uri")}" # ERROR: Misplaced secret
}
