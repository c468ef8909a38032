drill "guard-empty" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  guard {
    namespaces = []            # ERROR: No namespace allowed
    no_alert   = ["Down", ""]  # ERROR: Empty alert name
    prometheus = "prometheus"  # ERROR: Invalid url
  }
}
