drill "schedule-window-backwards" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  schedule {
    cron     = "0 10 1 * *"
    timezone = "UTC"
    window   = ["Mon-Fri 16:00-09:00", "Mon 25:00-26:00"] # ERROR: Invalid window, Invalid window
  }
}
