drill "duration-as-text" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = target.orders.outage_seconds > "90s" # ERROR: Duration as text
    error_message = "Writes fail."
  }
}
