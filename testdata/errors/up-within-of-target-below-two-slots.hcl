drill "up-within-of-target-below-two-slots" {
  target "postgresql" "orders" {
    namespace  = "shop"
    selector   = "application=patroni"
    dsn        = secret("orders-app", "uri")
    write_rate = 20
    up_within  = "99ms" # ERROR: Duration out of range
  }

  fault "kill_primary" "orders" {}
}
