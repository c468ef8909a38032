drill "number-too-long" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  objectives {
    lost_writes = 1111111111111111111111111111111111111111111111111111111111111111111111 # ERROR: Number too long
  }
}
