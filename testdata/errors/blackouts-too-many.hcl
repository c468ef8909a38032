drill "blackouts-too-many" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  schedule {
    cron     = "0 10 1 * *"
    timezone = "UTC"
    blackout = [for i in range(65) : "2026-12-20/2027-01-05"] # ERROR: List too long
  }
}
