drill "two-schedules" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  schedule {
    cron = "@monthly"
    timezone = "UTC"
  }

  schedule { # ERROR: Duplicate schedule block
    cron = "@daily"
    timezone = "UTC"
  }
}
