drill "fault-after-number" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {
    after = 20 # ERROR: Invalid duration
  }
}
