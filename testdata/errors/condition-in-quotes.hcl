drill "condition-in-quotes" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "lag" {
    condition     = "target.orders.lag_seconds > 5" # ERROR: Condition in quotes
    error_message = "Lag."
  }

  abort "text" {
    condition     = "too late" # ERROR: Condition without a live value
    error_message = "Lag."
  }
}
