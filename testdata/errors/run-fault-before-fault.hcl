drill "run-fault-before-fault" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  precondition "fault" {
    condition     = run.fault_seconds < 5 # ERROR: Value without a reading
    error_message = "Too long."
  }

  steady_state {
    assert {
      condition     = target.orders.lag_seconds < 5
      error_message = "Lag after ${run.fault_seconds} s." # ERROR: Value without a reading
    }
  }
}
