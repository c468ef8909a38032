drill "guard-twice" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  guard {
    namespaces = ["shop", "Payments"] # ERROR: Invalid namespace
  }

  guard { # ERROR: Duplicate guard block
    max_targets = 1.5 # ERROR: Unsuitable value type
  }
}
