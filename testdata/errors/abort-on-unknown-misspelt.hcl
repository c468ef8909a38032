drill "abort-on-unknown-misspelt" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = target.orders.lag_seconds > 5
    error_message = "Writes fail."
    for           = "5s"
    on_unknown    = "braech" # ERROR: Unknown value
  }
}
