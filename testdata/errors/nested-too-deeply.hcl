drill "nested-too-deeply" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  description = (((((((((((((((((((((((((((((((((((((((("x")))))))))))))))))))))))))))))))))))))))) # ERROR: Expression nested too deeply
}
