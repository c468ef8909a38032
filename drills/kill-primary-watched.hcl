# The primary of a PostgreSQL cluster dies, and what stands around it is watched as well: the application that uses the
# database, the Service that leads to it, and how many endpoints each has.
#
# Change the names to your own. Compare kill-primary.hcl, which explains the rest.

drill "kill-primary-watched" {
  description = "The primary dies. What its application's clients see of it, and what each Service leads to meanwhile."
  timeout     = "10m"

  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni,cluster-name=orders"
    service   = "orders"
    dsn       = secret("orders-drill", "uri")
  }

  # What the application's own clients see: this page writes to the database and reads it again. Each request has a
  # connection of its own, as a new visitor's would.
  probe "http" "checkout" {
    url     = "http://checkout.shop.svc/checkout"
    rate    = 10
    timeout = "1s"
  }

  # Whether anything accepts connections behind the Service that writing clients use. It says nothing of whether they
  # could write: the target's own probes do.
  probe "tcp" "orders-port" {
    address = "orders.shop.svc:5432"
  }

  # How many pods the Services lead to, as kube-proxy sees them.
  probe "kubernetes" "checkout-endpoints" {
    namespace = "shop"
    service   = "checkout"
  }

  probe "kubernetes" "orders-endpoints" {
    namespace = "shop"
    service   = "orders"
    rate      = 4
  }

  steady_state {
    assert {
      condition     = probe.checkout-endpoints.ready_endpoints >= 2 && probe.orders-endpoints.ready_endpoints == 1
      error_message = "There are ${probe.checkout-endpoints.ready_endpoints} endpoints of checkout, and ${probe.orders-endpoints.ready_endpoints} of orders."
    }

    assert {
      condition     = probe.checkout.success_ratio >= 0.99
      error_message = "Only a share of ${probe.checkout.success_ratio} of the requests to checkout succeeds."
    }
  }

  fault "kill_primary" "orders" {
    hold_down = "45s"
  }

  abort "orders" {
    condition     = target.orders.outage_seconds > duration("120s")
    error_message = "Writes have failed for ${target.orders.outage_seconds} s."
  }

  # Nobody could use the shop any more.
  abort "shop" {
    condition     = probe.checkout.outage_seconds > duration("60s")
    for           = "5s"
    error_message = "Checkout has not answered for ${probe.checkout.outage_seconds} s."
  }

  objectives {
    recovery_time  = "60s"
    leader_changes = 1
    failed_over    = true

    # Over the whole run, once it has ended.
    assert {
      condition     = probe.checkout.outage_seconds < 60
      error_message = "Checkout did not answer for ${probe.checkout.outage_seconds} s in all."
    }

    assert {
      condition     = probe.checkout-endpoints.ready_endpoints >= 1
      error_message = "Checkout was left with ${probe.checkout-endpoints.ready_endpoints} endpoints."
    }
  }
}
