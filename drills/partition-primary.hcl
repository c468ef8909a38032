# The primary of a PostgreSQL cluster is cut off from its replicas and from the Kubernetes API, where Patroni keeps its
# lease on the leadership. Clients still reach it, and their sessions stay: whatever it goes on acknowledging until it
# steps down is at stake.
#
# Change namespace, selector, service and dsn to your own cluster. Everything else can stay as it is.

drill "partition-primary" {
  description = "The primary is cut off from its replicas and from the API server, and not from its clients. It steps down before another leads, and no acknowledged write is lost."

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

  fault "network_partition" "cut" {
    target = "orders"

    # Longer than Patroni's lease (ttl, 30 s here) and an election, so that the failover happens while the cut lasts.
    # Shorter than recovery_time below: the old primary's return may slow writes once more, and a relapse counts.
    duration = "45s"

    # Who is cut off from whom. The target's members are named by their role at the moment of the cut.
    from = { role = "primary" }
    to   = { role = "replica", api_server = true }

    # Neither hears the other. in and out, as from sees them, make it deaf or mute.
    direction = "both"
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

    # The two questions that a partition is for. What the old primary acknowledges after the cut reaches no replica,
    # and is thrown away when it rejoins: with asynchronous replication a run honestly misses this one. Allow what
    # the business can bear, or turn on synchronous replication.
    lost_writes = 0

    # Two members that acknowledge writes at once are a split brain, however short.
    dual_primary = "0s"

    # How far the replicas may lag before the fault; what they have not received is lost with the primary.
    replication_lag = "1s"

    # One failover. A second one means that leadership flaps.
    leader_changes = 1
  }
}
