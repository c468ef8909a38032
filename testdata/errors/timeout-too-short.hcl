drill "timeout-too-short" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  steady_state {
    hold    = "20s"
    timeout = "10s" # ERROR: Timeout too short
  }
}
