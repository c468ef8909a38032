drill "objective-assert-in-quotes" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  objectives {
    assert {
      condition     = "target.orders.outage_seconds < 15" # ERROR: Condition in quotes
      error_message = "Down."
    }
  }
}
