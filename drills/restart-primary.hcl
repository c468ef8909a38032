# The primary of a PostgreSQL cluster dies at once, and Kubernetes may bring it straight back.
#
# Nothing keeps the old primary away, so there are two good endings, and the report says which one it was: the same
# pod is primary again (restarted_in_place), or a replica took over before it was back (failed_over). Run it beside
# kill-primary.hcl: this is what a crash costs, that is what the loss of a node costs.

drill "restart-primary" {
  description = "The primary is restarted without warning. Writes come back within a minute, whoever serves them."

  # The whole run, from its plan to its report. A run that takes longer has failed.
  timeout = "10m"

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

  # The name of this fault is the target whose primary dies. Without hold_down, nothing keeps it from coming back.
  fault "kill_primary" "orders" {
    method = "force_delete"
  }

  # When to give up and put everything back: twice the recovery time that is asked for below.
  abort "outage" {
    condition     = target.orders.outage_seconds > duration("120s")
    error_message = "Writes have failed for ${target.orders.outage_seconds} s."
  }

  # What must hold for the run to pass. The worse end of each measurement's error bar counts.
  objectives {
    # Until clients can write again and go on doing so.
    recovery_time = "60s"

    # Until the cluster could bear the same fault again: every member is back and has caught up.
    redundancy_time = "5m"

    # When the same pod resumes, its disk has every acknowledged write. When a replica takes over, asynchronous
    # replication may have lost the last ones.
    lost_writes = 0

    # How far the replicas may lag before the fault.
    replication_lag = "1s"

    # None when the primary restarts in place, one when a replica takes over. Either is right here; where a replica must
    # take over, failed_over = true asks for it, as in kill-primary.hcl.
    leader_changes = 1
  }
}
