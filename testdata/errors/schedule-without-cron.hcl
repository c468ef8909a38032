drill "schedule-without-cron" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  schedule { # ERROR: Missing required argument
    timezone = "UTC"
  }
}
