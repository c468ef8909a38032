drill "schedule-without-zone" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  schedule {
    cron = "0 10 1 * *" # WARNING: Missing time zone
  }
}
