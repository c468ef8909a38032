drill "timeout-shorter-than-stagger" {
  timeout = "1m" # ERROR: Timeout too short
  repeat  = 9
  stagger = "50s"

  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
