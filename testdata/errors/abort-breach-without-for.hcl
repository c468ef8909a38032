drill "abort-breach-without-for" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = target.orders.outage_seconds > 60
    on_unknown    = "breach" # ERROR: Breach without for
    error_message = "Writes fail."
  }

  abort "lag" {
    condition     = target.orders.lag_seconds > 60
    on_unknown    = "braech" # ERROR: Unknown value
    error_message = "Lag."
  }
}
