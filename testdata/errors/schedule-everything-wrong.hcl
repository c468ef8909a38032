drill "schedule-everything-wrong" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  schedule {
    cron     = "0 10 32 * *" # ERROR: Invalid cron expression
    timezone = "Europe/Berln" # ERROR: Unknown time zone
    missed   = "late" # ERROR: Unknown value
    jitter   = "ten minutes" # ERROR: Invalid duration
    window   = ["Mo-Fr 09:00-16:00"] # ERROR: Invalid window
    blackout = ["20.12.2026"] # ERROR: Invalid blackout
  }
}
