drill "duplicate-argument" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  timeout = "1m"
  timeout = "2m" # ERROR: Attribute redefined
}
