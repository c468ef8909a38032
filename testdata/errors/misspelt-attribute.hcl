drill "misspelt-attribute" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = target.orders.lag_secnds > 5 # ERROR: Unknown attribute
    error_message = "Writes fail."
  }
}
