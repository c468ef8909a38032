drill "up-within-of-target-at-one-slot-a-second" {
  target "postgresql" "orders" {
    namespace  = "shop"
    selector   = "application=patroni"
    dsn        = secret("orders-app", "uri")
    write_rate = 1
    up_within  = "500ms" # ERROR: Duration out of range
  }

  fault "kill_primary" "orders" {}
}
