drill "guard-wrong" {
  target "postgresql" "orders" {
    namespace = "shop" # ERROR: Namespace not allowed
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  guard {
    namespaces  = ["payments"]
    max_targets = 0                  # ERROR: Max targets out of range
    no_alert    = ["DatabaseDown"]   # ERROR: Alerts without Prometheus
    promethues  = "http://localhost" # ERROR: Unsupported argument
  }
}
