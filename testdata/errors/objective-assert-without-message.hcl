drill "objective-assert-without-message" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  objectives {
    recovery_time = "30s"

    assert { # ERROR: Missing required argument
      condition = target.orders.lag_seconds < 1
    }
  }
}
