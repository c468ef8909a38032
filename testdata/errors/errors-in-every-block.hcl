drill "errors-in-every-block" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  repeat = 0 # ERROR: Repeat out of range

  probe "http" "checkout" {
    url = "checkout" # ERROR: Invalid url
  }

  guard {
    max_targets = -1 # ERROR: Max targets out of range
  }

  precondition "lag" {
    condition     = target.orders.lag < 1 # ERROR: Unknown attribute
    error_message = "Lag."
  }

  steady_state {
    hold = "ten" # ERROR: Invalid duration

    assert {
      condition     = probe.checkout.outage < 1 # ERROR: Unknown attribute
      error_message = "Down ${probe.checkout.outages} s." # ERROR: Unknown attribute
    }
  }

  fault "pod_kill" "orders" { # ERROR: Duplicate name
    count = 1
    after = "soon" # ERROR: Invalid duration
  }

  abort "lag" {
    condition     = target.orders.lag_seconds > "5s" # ERROR: Duration as text
    grace         = "none" # ERROR: Invalid duration
    error_message = target.orders # ERROR: Incomplete reference
  }

  objectives {
    lost_writes = -1 # ERROR: Negative count

    alert "PrimaryDown" { # WARNING: Not available yet
      within = 60 # ERROR: Invalid duration
    }

    assert {
      condition     = true # ERROR: Condition without a live value
      error_message = "x"
    }
  }

  schedule {
    cron = "0 0 31 2 *" # ERROR: Never due
  }
}
