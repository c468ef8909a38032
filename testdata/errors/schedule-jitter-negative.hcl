drill "schedule-jitter-negative" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  schedule {
    cron     = "0 10 1 * *"
    timezone = "UTC"
    jitter   = "-5m" # ERROR: Invalid duration
  }
}
