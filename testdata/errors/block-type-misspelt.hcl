drill "block-type-misspelt" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  falt "kill_primary" "orders" { # ERROR: Unsupported block type
  }

  abort "orders" {
    condition     = target.order.lag_seconds > 5 # ERROR: Unknown target
    error_message = "Lag ${target.orders.lag_secs}." # ERROR: Unknown attribute
  }
}
