drill "precondition-duplicate" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  precondition "caught-up" {
    condition     = target.orders.lag_seconds < 1
    error_message = "Writes fail."
  }

  precondition "caught-up" { # ERROR: Duplicate name
    condition     = target.orders.primaries == 1
    error_message = "Writes fail."
  }
}
