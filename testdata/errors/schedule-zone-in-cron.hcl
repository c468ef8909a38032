drill "schedule-zone-in-cron" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  schedule {
    cron = "TZ=Europe/Berlin 0 10 1 * *" # ERROR: Invalid cron expression
  }
}
