drill "abort-too-late" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  timeout = "5m"

  abort "outage" {
    condition     = target.orders.outage_seconds > 60
    grace         = "2m"
    for           = "3m" # ERROR: Abort condition too late
    error_message = "Writes fail."
  }

  abort "lag" {
    condition     = target.orders.lag_seconds > 60
    grace         = "4m50s" # ERROR: Abort condition too late
    error_message = "Lag."
  }
}
