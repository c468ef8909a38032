drill "precondition-wrong" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  precondition "lag" { # ERROR: Missing required argument
    condition = target.orders.lag_secs < 5 # ERROR: Unknown attribute
  }

  precondition { # ERROR: Missing name for precondition
    condition     = target.orders.lag_seconds < 5
    error_message = "Lag."
  }

  precondition "lag" { # ERROR: Duplicate name
    condition     = target.orders.lag_seconds < 5
    error_message = "Lag."
    for           = "5s" # ERROR: Unsupported argument
  }
}
