drill "drill-timeout-too-short" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  timeout = "5s" # ERROR: Timeout too short
}
