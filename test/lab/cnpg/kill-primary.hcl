# The primary of a CloudNativePG cluster dies at once and stays away. As drill init writes it; five runs of this drill must
# agree (make cnpg).

drill "cnpg-kill-primary" {
  description = "The primary of orders dies. A replica takes over within 1m."

  target "postgresql" "orders" {
    namespace = "cnpg-shop"
    selector  = "cnpg.io/cluster=orders,cnpg.io/podRole=instance"
    preset    = "cloudnativepg"

    # The Service that clients write to. Its endpoints must follow the primary; that is part of the recovery time.
    service = "orders-rw"

    # What drill connects with, through the Service: from a Secret in the same namespace, read in the cluster and
    # never printed. It makes a schema failoverdrill, and drops it.
    dsn = secret("orders-app", "uri")

    # Where clients read: it leads to the replicas. It counts when objectives asks for read_outage or staleness.
    read_service = "orders-ro"
  }

  # Nothing is touched unless all is well for this long without a break.
  steady_state {
    hold    = "10s"
    timeout = "2m"

    assert {
      condition     = target.orders.lag_seconds < 1 && target.orders.success_ratio >= 0.99
      error_message = "Not steady: the replicas lag ${target.orders.lag_seconds} s, and a share of ${target.orders.success_ratio} of the writes succeeds."
    }
  }

  fault "kill_primary" "orders" {
    # Its processes are killed after about 2 s, and it may or may not hand over. "graceful" is like a drained node.
    method = "force_delete"

    # The pod is kept away (it is not bound to any node), so that a replica must take over. The operator promotes one as
    # soon as it finds the primary gone.
    hold_down = "45s"
  }

  # When to give up and put everything back: twice recovery_time below, so that a slow recovery is still measured.
  abort "outage" {
    condition     = target.orders.outage_seconds > duration("2m")
    error_message = "Clients have had no good answer for ${target.orders.outage_seconds} s."
  }

  # What must hold for the run to pass.
  objectives {
    # Until clients can write again, for good: the lease, the election, the new endpoint.
    recovery_time = "1m"

    # Asynchronous replication can lose what was acknowledged in the last moments, so a run may honestly miss this.
    lost_writes = 0

    # Before the fault; what the replicas have not received is lost with the primary.
    replication_lag = "1s"

    # Somebody must really have taken over: a primary that came back and simply resumed shows nothing.
    failed_over = true
  }
}
