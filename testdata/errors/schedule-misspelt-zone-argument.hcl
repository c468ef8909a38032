drill "schedule-misspelt-zone-argument" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  schedule {
    cron      = "0 10 1 * *"
    time_zone = "UTC" # ERROR: Unsupported argument
  }
}
