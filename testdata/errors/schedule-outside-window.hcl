drill "schedule-outside-window" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  schedule {
    cron   = "0 3 * * *"
    timezone = "UTC"
    window = ["Mon-Fri 09:00-16:00"] # ERROR: Never due
  }
}
