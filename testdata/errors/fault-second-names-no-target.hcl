drill "fault-second-names-no-target" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  fault "kill_primary" "carts" { # ERROR: Unsuitable fault
    after = "20s"
  }
}
