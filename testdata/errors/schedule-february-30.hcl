drill "schedule-february-30" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  schedule {
    cron     = "0 10 30 2 *" # ERROR: Never due
    timezone = "UTC"
  }
}
