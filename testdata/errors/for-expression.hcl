drill "for-expression" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  description = [for x in ["a"] : x][0] # ERROR: For expression
}
