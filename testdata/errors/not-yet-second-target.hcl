drill "not-yet-second-target" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  target "postgresql" "carts" { # WARNING: Not available yet
    namespace = "shop"
    selector  = "a=b"
    dsn       = secret("carts-app", "uri")
  }
}
