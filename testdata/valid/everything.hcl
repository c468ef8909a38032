# Every block of the language, as far as this version can do it.
variable "namespace" {
  type        = string
  default     = "shop"
  description = "Where the orders database runs."

  validation {
    condition     = can(regex("^[a-z]", var.namespace))
    error_message = "A namespace begins with a small letter."
  }
}

variable "lag_limit" {
  type    = number
  default = 1
}

locals {
  cluster  = "application=patroni,cluster-name=orders"
  checkout = "http://checkout.${var.namespace}.svc"
}

drill "everything" {
  description = "The primary dies, and then the network breaks. Überall grün? 日本."
  timeout     = "15m"
  repeat      = 9
  stagger     = "30s"
  blip        = "500ms"

  schedule {
    cron     = "0 10 1 * *"
    timezone = "Europe/Berlin"
    jitter   = "10m"
    window   = ["Mon-Fri 09:00-16:00"]
    blackout = ["2026-12-20/2027-01-05"]
    missed   = "skip"
  }

  guard {
    namespaces  = [var.namespace]
    max_targets = 3
    no_alert    = ["DatabaseDown"]
    prometheus  = "http://prometheus.monitoring:9090"
  }

  target "postgresql" "orders" {
    namespace  = var.namespace
    selector   = local.cluster
    preset     = "patroni"
    service    = "orders"
    dsn        = "${secret("orders-app", "uri")}?sslmode=require"
    write_rate = 50
    up_within  = "40ms"
  }

  probe "http" "checkout" {
    url       = "${local.checkout}/healthz"
    rate      = 20
    timeout   = "500ms"
    up_within = "500ms"
  }

  precondition "caught-up" {
    condition     = target.orders.lag_seconds < var.lag_limit
    error_message = "A replica is ${target.orders.lag_seconds} s behind."
  }

  steady_state {
    hold    = "20s"
    timeout = "2m"

    assert {
      condition     = target.orders.lag_seconds < var.lag_limit && probe.checkout.success_ratio >= 0.99
      error_message = "Not steady: lag ${target.orders.lag_seconds} s, checkout ${probe.checkout.success_ratio}."
    }
  }

  fault "kill_primary" "orders" {
    method    = "force_delete"
    hold_down = "90s"
  }

  fault "network_partition" "cut" {
    after     = "20s"
    target    = "orders"
    duration  = "60s"
    from      = { role = "primary" }
    to        = { role = "replica" }
    direction = "both"
  }

  abort "outage" {
    condition     = target.orders.outage_seconds > duration("90s")
    for           = "5s"
    grace         = "30s"
    on_unknown    = "breach"
    error_message = "Writes have failed for ${target.orders.outage_seconds} s, ${run.fault_seconds} s after the fault."
  }

  objectives {
    recovery_time   = "30s"
    redundancy_time = "5m"
    lost_writes     = 0
    dual_primary    = "0s"
    replication_lag = "1s"
    read_outage     = "0s"
    staleness       = "5s"
    leader_changes  = 1
    unavailable     = "45s"
    failed_over     = true

    assert {
      condition     = probe.checkout.outage_seconds < 15
      error_message = "Checkout was down for ${probe.checkout.outage_seconds} s."
    }
  }
}
