drill "invariant-not-measured" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "reads" {
    condition     = target.orders.read_outage_seconds > 30
    error_message = "Reads have failed for ${target.orders.read_outage_seconds} s."
  }

  abort "register" {
    condition     = target.orders.register_violations > 0 # ERROR: Value that nothing measures
    error_message = "The register is broken."
  }

  objectives {
    staleness           = "5s"
    read_outage         = -1  # ERROR: Invalid duration
    sum_violations      = -1  # ERROR: Negative count
    register_violation  = 0   # ERROR: Unsupported argument
  }
}
