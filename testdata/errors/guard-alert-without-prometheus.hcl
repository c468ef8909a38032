drill "guard-alert-without-prometheus" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  guard {
    no_alert = ["DatabaseDown"] # ERROR: Alerts without Prometheus
  }
}
