drill "not-yet-drill" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  guard { # ERROR: Not available yet
    max_targets = 1
  }

  precondition "x" { # ERROR: Not available yet
  }

  notify "slack" { # ERROR: Not available yet
  }
}
