drill "schedule-wrong-type" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  schedule {
    cron     = 5 # ERROR: Invalid cron expression
    timezone = ["UTC"] # ERROR: Unsuitable value type
  }
}
