drill "abort-on-unknown-of-another-word" {
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
    on_unknown    = "abort" # ERROR: Unknown value
  }
}
