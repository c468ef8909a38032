drill "schedule-unknown-word" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  schedule {
    cron     = "@fortnightly" # ERROR: Invalid cron expression
    timezone = "UTC"
  }
}
