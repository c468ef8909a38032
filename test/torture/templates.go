package torture

// The drills of a fleet. @N and its like are filled in.
const (
	databaseDrill = `# Orders database of service @N, run by @TEAM. Ask in #team-@TEAM before you raise a limit.

variable "namespace" {
  type        = string
  default     = "shop-@N"
  description = "Where the database of service @N runs."

  validation {
    condition     = length(var.namespace) <= 63 && can(regex("^[a-z0-9-]+$", var.namespace))
    error_message = "The namespace ${var.namespace} is not a name that Kubernetes allows."
  }
}

variable "recovery_seconds" {
  type        = number
  default     = @SECONDS
  description = "How long clients may wait for a new primary."
}

variable "labels" {
  type    = map(string)
  default = { application = "patroni", "cluster-name" = "orders-@N" }
}

locals {
  service  = "orders-@N"
  selector = join(",", [for key in sort(keys(var.labels)) : "${key}=${var.labels[key]}"])
  patience = "${var.recovery_seconds * 2}s"
  checkout = format("http://checkout.%s.svc/orders", var.namespace)
}

drill "kill-primary-@N" {
  description = "The primary of ${local.service} dies. A replica takes over within ${var.recovery_seconds} s."
  timeout     = "10m"
  stagger     = "30s"

  schedule {
    cron     = "17 @HOUR @DAY * *"
    timezone = "Europe/Berlin"
    jitter   = "10m"
    window   = ["Mon-Fri 06:00-18:00"]
    missed   = "skip"
  }

  guard {
    namespaces  = [var.namespace]
    max_targets = 1
  }

  target "postgresql" "orders" {
    namespace  = var.namespace
    selector   = local.selector
    preset     = "patroni"
    service    = local.service
    dsn        = secret("${local.service}-drill", "uri")
    write_rate = @RATE
  }

  # What stands for the clients.
  probe "http" "checkout" {
    url     = local.checkout
    rate    = @RATE
    timeout = "500ms"
  }

  steady_state {
    hold    = "10s"
    timeout = "2m"

    assert {
      condition     = target.orders.lag_seconds < 1 && probe.checkout.success_ratio >= 0.99
      error_message = "Not steady: lag ${target.orders.lag_seconds} s, checkout ${probe.checkout.success_ratio}."
    }
  }

  fault "kill_primary" "orders" {
    method    = "force_delete"
    hold_down = "45s"
  }

  abort "outage" {
    condition     = target.orders.outage_seconds > duration(local.patience)
    for           = "5s"
    error_message = "Writes have failed for ${target.orders.outage_seconds} s, which is more than ${local.patience}."
  }

  objectives {
    recovery_time   = "${var.recovery_seconds}s"
    redundancy_time = "5m"
    lost_writes     = 0
    dual_primary    = "0s"
    replication_lag = "1s"
    leader_changes  = 1

    assert {
      condition     = probe.checkout.outage_seconds < var.recovery_seconds + 5
      error_message = "Checkout was down for ${probe.checkout.outage_seconds} s."
    }
  }
}
`
	deploymentDrill = `# Checkout of service @N, run by @TEAM.

variable "namespace" {
  type    = string
  default = "web-@N"
}

variable "path" {
  type    = string
  default = "/healthz"
}

locals {
  app = lower("Checkout-@N")
  url = "http://${local.app}.${var.namespace}.svc${var.path}"
}

drill "pod-kill-@N" {
  description = trimspace("  One pod of ${local.app} is deleted, and clients see next to nothing. ")

  target "deployment" "checkout" {
    namespace = var.namespace
    selector  = "app=${local.app}"
  }

  probe "http" "checkout" {
    url     = local.url
    rate    = min(@RATE, 20)
    timeout = "500ms"
  }

  probe "tcp" "port" {
    address = "${local.app}.${var.namespace}.svc:80"
  }

  steady_state {
    hold = "10s"

    assert {
      condition     = target.checkout.ready >= target.checkout.desired && probe.checkout.success_ratio >= 0.99
      error_message = "Not steady: ${target.checkout.ready} of ${target.checkout.desired} endpoints are ready."
    }
  }

  fault "pod_kill" "checkout" {
    count  = 1
    method = "graceful"
  }

  abort "outage" {
    condition     = probe.checkout.outage_seconds > duration("@SECONDSs")
    error_message = "Checkout has not answered for ${probe.checkout.outage_seconds} s."
  }

  objectives {
    recovery_time   = "2s"
    redundancy_time = "2m"
  }
}
`
	plainDrill = `
drill "plain-@N" {
  description = "The primary of orders-@N dies, and a replica takes over."
  timeout     = "10m"

  target "postgresql" "orders" {
    namespace = "shop-@N"
    selector  = "application=patroni,cluster-name=orders-@N"
    service   = "orders-@N"
    dsn       = secret("orders-@N-drill", "uri")
  }

  steady_state {
    hold    = "10s"
    timeout = "2m"

    assert {
      condition     = target.orders.lag_seconds < 1 && target.orders.success_ratio >= 0.99
      error_message = "Not steady: the replicas lag ${target.orders.lag_seconds} s."
    }
  }

  fault "kill_primary" "orders" {
    method    = "force_delete"
    hold_down = "45s"
  }

  abort "outage" {
    condition     = target.orders.outage_seconds > duration("@SECONDSs")
    error_message = "Writes have failed for ${target.orders.outage_seconds} s."
  }

  objectives {
    recovery_time   = "@SECONDSs"
    lost_writes     = 0
    replication_lag = "1s"
  }
}
`
)
