drill "objective-assert" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  objectives {
    recovery_time = "30s"

    assert {
      condition     = target.orders.lag_secs < 1 # ERROR: Unknown attribute
      error_message = "Lag."
    }

    assert {
      condition     = target.orders.lag_seconds < "1s" # ERROR: Duration as text
      error_message = "Lag."
    }

    assert {
      condition     = true # ERROR: Condition without a live value
      error_message = "Lag."
    }

    assert {
      condition     = target.orders.lag_seconds # ERROR: Unsuitable condition
      error_message = "Lag."
    }
  }
}
