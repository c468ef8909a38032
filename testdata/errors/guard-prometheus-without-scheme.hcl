drill "guard-prometheus-without-scheme" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  guard {
    no_alert   = ["DatabaseDown"]
    prometheus = "prometheus:9090" # ERROR: Invalid url
  }
}
