drill "schedule-jitter-too-long" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  schedule {
    cron   = "*/5 * * * *"
    timezone = "UTC"
    jitter = "5m" # ERROR: Jitter too long
  }
}
