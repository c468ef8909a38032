drill "stagger-longer-than-timeout" {
  stagger = "10m" # ERROR: Timeout too short

  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
