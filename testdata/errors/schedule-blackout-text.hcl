drill "schedule-blackout-text" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  schedule {
    cron     = "0 10 1 * *"
    timezone = "UTC"
    blackout = "2026-12-24" # ERROR: Unsuitable value type
  }
}
