drill "fault-after-timeout" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  fault "kill_primary" "again" {
    target = "orders"
    after  = "10m" # ERROR: Timeout too short
  }
}
