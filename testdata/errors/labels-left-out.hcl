drill "labels-left-out" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  probe "http" { # ERROR: Missing name for probe
    url = "http://checkout.shop"
  }

  abort "checkout" {
    condition     = probe.checkout.outage_seconds > 5
    error_message = "Checkout."
  }

  abort "other" "name" { # ERROR: Extraneous label for abort
    condition     = target.orders.outage_seconds > 5
    error_message = "Writes."
  }
}
