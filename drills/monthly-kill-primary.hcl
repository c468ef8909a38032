# The same as kill-primary.hcl, once a month by itself: the primary dies, and a replica has to take over.
#
#   drill validate drills/monthly-kill-primary.hcl       says when it will run
#   drill schedule add drills/monthly-kill-primary.hcl   installs it, in your name
#
# Change namespace, selector, service and dsn to your own cluster. Everything else can stay as it is.

drill "monthly-kill-primary" {
  description = "The primary dies. A replica takes over within a minute, and no acknowledged write is lost."

  # The whole run, from its plan to its report. A run that takes longer has failed.
  timeout = "10m"

  # When it runs: at 10:00 on the first of every month, while people are at work who can act.
  schedule {
    cron     = "0 10 1 * *"
    timezone = "Europe/Berlin"

    # Days on which nothing may break.
    blackout = ["2026-12-20/2027-01-05"]

    # When nobody could start it, it is counted as missed. "run_late" would run it as soon as somebody can.
    missed = "skip"
  }

  # The system under test. Its pods are found by labels, and the primary among them by asking each one.
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni,cluster-name=orders"

    # The Service that clients write to. Its endpoints must follow the primary; that is part of the recovery time.
    service = "orders"

    # What drill connects with, through the Service that the application uses: from a Secret in the same namespace, and
    # never printed. A role of drill's own needs to create a schema, and to read nothing of the application's.
    dsn = secret("orders-drill", "uri")
  }

  # Nothing is touched unless all is well for this long without a break: a drill on a cluster that is already ill
  # proves nothing, and may break it.
  steady_state {
    hold    = "10s"
    timeout = "2m"

    assert {
      condition     = target.orders.lag_seconds < 1 && target.orders.success_ratio >= 0.99
      error_message = "Not steady: the replicas lag ${target.orders.lag_seconds} s, and a share of ${target.orders.success_ratio} of the writes succeeds."
    }
  }

  # The name of this fault is the target whose primary dies.
  fault "kill_primary" "orders" {
    # The pod object is removed at once; its processes get SIGTERM, and SIGKILL about 2 s later. Until then the primary
    # serves clients that are connected, and it may or may not hand over. Other methods recover in other times.
    method = "force_delete"

    # Kubernetes would bring the pod back within seconds, and the old primary would simply resume: a restart, and no
    # failover. It is kept away for longer than Patroni's lease on the leadership (ttl, 30 s here), so that the
    # replicas must elect another.
    hold_down = "45s"
  }

  # When to give up and put everything back: twice the recovery time that is asked for below, so that a slow failover
  # is measured and not only interrupted.
  abort "outage" {
    condition     = target.orders.outage_seconds > duration("120s")
    error_message = "Writes have failed for ${target.orders.outage_seconds} s."
  }

  # What must hold for the run to pass. The worse end of each measurement's error bar counts.
  objectives {
    # Until clients can write again and go on doing so: Patroni's lease of 30 s, the election, and the new endpoint.
    recovery_time = "60s"

    # Until the cluster could bear the same fault again: the old primary is back as a replica and has caught up.
    redundancy_time = "5m"

    # Asynchronous replication can lose what was acknowledged in the last moments before the primary died, so a run
    # may honestly miss this. Allow what the business can bear, or turn on synchronous replication.
    lost_writes = 0

    # How far the replicas may lag before the fault; what they have not received is lost with the primary.
    replication_lag = "1s"

    # One failover. A second one means that leadership flaps.
    leader_changes = 1

    # And not none: had the old primary come back and simply resumed, nobody would know whether a replica can take over.
    failed_over = true

    # Not written here, and judged all the same: two members that take writes at once fail the run. dual_primary = "1s"
    # would allow it for so long.
  }
}
