# The primary of a PostgreSQL cluster is cut off from its lease only: from the Kubernetes API, where Patroni keeps it.
# Its clients and its replicas still reach it, so for a while nothing at all is wrong. Only when it cannot renew its
# lease must it stop serving, and a replica takes over once the lease has run out: the impact comes long after the fault.
#
# Whoever looks for ten seconds and sees no outage would call that a recovery in 0 s. drill watches for a minute at
# least, because an impact may come this late, and counts from the fault to the end of the last outage. The phase
# "impact" in the report says how long nobody noticed.
#
# Compare "fresh" with the headline: the old primary cannot take its label off either, so its Service may lead new
# sessions to it until the cut is healed. Then they find a server that no longer accepts writes.
#
# Change namespace, selector, service and dsn to your own cluster. Everything else can stay as it is.

drill "late-impact" {
  description = "The primary is cut off from its lease only, and serves on until it has run out. Then a replica takes over, and no acknowledged write is lost."

  # The whole run, from its plan to its report. A run that takes longer has failed.
  timeout = "10m"

  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni,cluster-name=orders"
    service   = "orders"
    dsn       = secret("orders-drill", "uri")
  }

  # Nothing is cut unless all is well for this long without a break.
  steady_state {
    hold    = "10s"
    timeout = "2m"

    assert {
      condition     = target.orders.lag_seconds < 1 && target.orders.success_ratio >= 0.99
      error_message = "Not steady: the replicas lag ${target.orders.lag_seconds} s, and a share of ${target.orders.success_ratio} of the writes succeeds."
    }
  }

  fault "network_partition" "lease" {
    target = "orders"

    # Longer than Patroni's lease (ttl, 30 s here) and an election, so that the failover happens while the cut lasts.
    duration = "45s"

    # The API server alone: replicas and clients are not on the other side.
    from = { role = "primary" }
    to   = { api_server = true }
  }

  # When to give up and heal at once.
  abort "outage" {
    condition     = target.orders.outage_seconds > duration("120s")
    error_message = "Writes have failed for ${target.orders.outage_seconds} s."
  }

  # What must hold for the run to pass. The worse end of each measurement's error bar counts.
  objectives {
    # Until clients can write again and go on doing so: the lease, the election, the new endpoint, and the rejoin.
    recovery_time = "60s"

    # Until the cluster could bear the same fault again. The old primary cannot rejoin before the cut is healed.
    redundancy_time = "5m"

    # The replicas still receive what it acknowledges, up to its last write: nothing need be lost.
    lost_writes = 0

    # It must have stopped before another begins, though it cannot see who does.
    dual_primary = "0s"

    # How far the replicas may lag before the fault; what they have not received is lost with the primary.
    replication_lag = "1s"

    # One failover. A second one means that leadership flaps.
    leader_changes = 1
  }
}
