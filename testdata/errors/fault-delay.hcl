drill "fault-delay" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {
    delay = "20s" # ERROR: Unsupported argument
  }
}
