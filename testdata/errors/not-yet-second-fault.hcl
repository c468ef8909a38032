drill "not-yet-second-fault" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  fault "kill_primary" "again" { # ERROR: Not available yet
    after = "20s" # ERROR: Not available yet
  }
}
