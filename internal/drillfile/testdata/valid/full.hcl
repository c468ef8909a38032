drill "kill-primary" {
  description = "The primary dies. A replica takes over within 30 s."
  timeout     = "15m"
  repeat      = 9
  stagger     = "30s"
  blip        = "100ms"

  schedule {
    cron     = "0 10 1 * *"
    timezone = "Europe/Berlin"
    jitter   = "10m"
    window   = ["Mon-Fri 09:00-16:00", "Sat 09:00-12:00"]
    blackout = ["2026-12-20/2027-01-05"]
    missed   = "run_late"
  }

  target "postgresql" "orders" {
    namespace  = "shop"
    selector   = "application=patroni,cluster-name=orders"
    preset     = "patroni"
    service    = "orders"
    dsn        = "${secret("orders-app", "uri")}?application_name=drill"
    write_rate = 50
  }

  probe "http" "checkout" {
    url  = "http://checkout.shop/healthz"
    rate = 20
  }

  steady_state {
    hold    = "20s"
    timeout = "1m30s"

    assert {
      condition     = target.orders.lag_seconds < 1 && target.orders.success_ratio >= 0.99
      error_message = "Not steady: lag ${target.orders.lag_seconds} s, ${target.orders.success_ratio * 100} %."
    }

    assert {
      condition     = target["orders"].primaries == 1
      error_message = <<-EOT
        There are ${target.orders.primaries} primaries.
      EOT
    }
  }

  fault "kill_primary" "orders" {
    method    = "force_delete"
    hold_down = "90s"
  }

  abort "outage" {
    condition     = target.orders.outage_seconds > duration("90s")
    for           = "5s"
    error_message = "Writes have failed for ${target.orders.outage_seconds} s."
  }

  abort "checkout" {
    condition     = probe.checkout.outage_seconds > 30 || target.orders.primaries > 1
    error_message = "Checkout is down for ${probe["checkout"].outage_seconds} s."
  }

  objectives {
    recovery_time   = "30s"
    redundancy_time = "5m"
    lost_writes     = 0
    dual_primary    = "0s"
    replication_lag = "1500ms"
    leader_changes  = 1
    unavailable     = "25s"
    failed_over     = true

    assert {
      condition     = probe.checkout.outage_seconds < 15
      error_message = "Checkout was down for ${probe.checkout.outage_seconds} s."
    }

    assert {
      condition     = target.orders.outage_seconds < 10 || probe.checkout.success_ratio > 0.9
      error_message = "Too few were served."
    }
  }
}
