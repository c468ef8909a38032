drill "abort-argument-misspelt" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    conditon      = target.orders.outage_seconds > 60 # ERROR: Unsupported argument
    gracious      = "2m" # ERROR: Unsupported argument
    error_message = "Writes fail."
  }
}
