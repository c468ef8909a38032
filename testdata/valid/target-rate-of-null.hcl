drill "target-rate-of-null" {
  target "postgresql" "orders" {
    namespace  = "shop"
    selector   = "application=patroni"
    dsn        = secret("orders-app", "uri")
    write_rate = null
  }

  fault "kill_primary" "orders" {}
}
