drill "steady-state-twice" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  steady_state {
    hold = "10s"
  }

  steady_state { # ERROR: Duplicate steady_state block
    hold = "20s"
  }
}
