drill "schedule-blackout-backwards" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  schedule {
    cron     = "0 10 1 * *"
    timezone = "UTC"
    blackout = ["2027-01-05/2026-12-20"] # ERROR: Invalid blackout
  }
}
