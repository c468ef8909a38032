drill "unknown-target-kind" {
  target "postgres" "orders" { # ERROR: Unknown kind of target
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
