drill "two-schedules" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  schedule {
    cron = "@monthly"
  }

  schedule { # ERROR: Duplicate schedule block
    cron = "@daily"
  }
}
