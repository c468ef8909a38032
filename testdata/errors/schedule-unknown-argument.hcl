drill "schedule-unknown-argument" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  schedule {
    cron  = "@monthly"
    timezone = "UTC"
    zone  = "UTC" # ERROR: Unsupported argument
    start = "now" # ERROR: Unsupported argument
  }
}
