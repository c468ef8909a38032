# The primary dies, a replica takes over, and a minute later that one dies, too, while the first is still away. The last
# replica must take over alone: it must have followed the new primary by then, and not only the old one.
#
# Change the names to your own. Compare kill-primary.hcl, which explains the rest.

drill "kill-primary-twice" {
  description = "The primary dies, and then its successor. The last replica takes over, and both come back."
  timeout     = "12m"

  # Two members in one namespace, and no more, whatever is changed below.
  guard {
    namespaces  = ["shop"]
    max_targets = 2
  }

  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni,cluster-name=orders"
    service   = "orders"
    dsn       = secret("orders-drill", "uri")
  }

  # Nothing waits for a precondition: a cluster that is this far from whole is looked at by somebody first.
  precondition "replicas" {
    condition     = target.orders.lag_seconds < 60
    error_message = "A replica is ${target.orders.lag_seconds} s behind."
  }

  fault "kill_primary" "orders" {
    hold_down = "90s"
  }

  # Whoever is primary by then: the victim is found anew, right before it dies. The failover must be over when its turn
  # comes, or there is no primary to kill: Patroni's lease (ttl, 30 s here), the election, and some seconds to spare.
  fault "kill_primary" "successor" {
    target    = "orders"
    after     = "60s"
    hold_down = "45s"
  }

  # Each failover is an outage that was asked for. Only one that lasts ends the run, and none in the first half minute.
  abort "outage" {
    condition     = target.orders.outage_seconds > duration("100s")
    for           = "5s"
    grace         = "30s"
    error_message = "Writes have failed for ${target.orders.outage_seconds} s."
  }

  objectives {
    # From the first fault to the end of the last outage: the minute between the two is part of it. The report says of
    # each fault alone how long it took.
    recovery_time = "120s"

    redundancy_time = "5m"

    # Asynchronous replication can lose what was acknowledged in the last moments before each of the two died.
    lost_writes = 0

    replication_lag = "1s"
    dual_primary    = "0s"
    leader_changes  = 2
    failed_over     = true

    # The two outages together.
    assert {
      condition     = target.orders.outage_seconds < 90
      error_message = "Writes failed for ${target.orders.outage_seconds} s in all."
    }
  }
}
