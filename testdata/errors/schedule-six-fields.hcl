drill "schedule-six-fields" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  schedule {
    cron     = "0 0 10 1 * *" # ERROR: Invalid cron expression
    timezone = "UTC"
  }
}
