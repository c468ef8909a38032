# The primary dies, and clients go on reading. What they were told meanwhile must make sense.
#
# Change namespace, selector, service and dsn to your own cluster. docs/invariants.md says what each objective checks.

drill "invariants" {
  description = "The primary dies. Reads go on, none is older than 30 s, and no transfer is seen half done."

  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni,cluster-name=orders"
    service   = "orders"
    dsn       = secret("orders-drill", "uri")
  }

  fault "kill_primary" "orders" {
    hold_down = "45s"
  }

  # What should never happen ends the run at once.
  abort "sum" {
    condition     = target.orders.sum_violations > 0
    error_message = "A transfer was seen half done."
  }

  objectives {
    recovery_time = "60s"

    # While there is no primary, the replicas still answer.
    read_outage = "0s"

    # What a replica shows grows old while nobody can write: at most as long as the failover takes.
    staleness = "30s"

    # Each transfer is seen as a whole or not at all, on every member.
    sum_violations = 0

    # Asynchronous replication can lose what clients were told. These can be missed honestly where lost_writes is; with
    # synchronous replication write 0.
    monotonic_read_violations   = 10
    read_your_writes_violations = 10
    register_violations         = 10
  }
}
